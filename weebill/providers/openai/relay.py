"""The OpenAI dialect: bytes pass through; only the model's name and the request for usage are put in.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from weebill.catalog.traits import NOTHING_SAID
from weebill.providers.base import Answer, AnswerCollector, ByteStream, Target, Translator, UpstreamRequest
from weebill.providers.fit import Fit, Unsupported
from weebill.providers.media import plain_urls
from weebill.providers.model_fit import may_stop
from weebill.providers.naming import named, renamed
from weebill.providers.openai.chunks import ended
from weebill.providers.openai.encode import may_have_stops
from weebill.providers.openai.errors import body_error, inner_error, is_error
from weebill.providers.openai.history import is_talk, own_chat
from weebill.providers.openai.members import asked_only
from weebill.providers.openai.model_fields import fitted_to_model
from weebill.providers.openai.quirks import fitted, is_plain
from weebill.providers.openai.relay_stream import OpenAIStream
from weebill.providers.openai.relayed import decode_completion, decode_plain, decode_plain_text
from weebill.providers.openai.repair import put_right
from weebill.providers.openai.sealed import Seals, has_sealed
from weebill.providers.part_relay import TakesSome
from weebill.providers.replayed import chat_once, chat_unparsed, is_replayed
from weebill.providers.usage import estimate
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.failure import UpstreamFailure, invalid_answer
from weebill.wire.inbound import InboundRequest, Json
from weebill.wire.json_values import decode_list
from weebill.wire.openai_chat import UsageReport
from weebill.wire.openai_usage import usage_of
from weebill.wire.reply import Usage
from weebill.wire.requests import ChatRequest, CompletionRequest
from weebill.wire.sse import BOM
from weebill.wire.surrogates import mended

_encode: Final = msgspec.json.encode
_UNSAID: Final = Usage()
# Text, or a call's arguments.
_SAYS: Final = re.compile(rb'"(?:content|reasoning_content|reasoning|text|arguments)"\s*:\s*"[^"]')
_WITH_USAGE: Final = Raw(b'{"include_usage":true}')
PATHS: Final[dict[type[InboundRequest], bytes]] = {
    ChatRequest: b"/chat/completions",
    CompletionRequest: b"/completions",
}


_NO_STOP: Final = frozenset({b"null", b"[]", b'""'})


class OpenAITranslator(TakesSome):
    """For every upstream that speaks OpenAI's Chat Completions and Completions."""

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body as it came, but for the model's name and other models' reasoning, as model and provider take it.

        A stream is asked for its usage.
        """
        quirks, fields = target.quirks, call.fields
        dropped: tuple[str, ...] = ()
        messages = fields.get("messages")
        replayed = False
        lost: Sequence[str] = ()
        if messages is not None:
            text = bytes(messages)
            if not is_talk(text):
                typed = plain_urls(text)
                if typed is not text:
                    messages, text = Raw(typed), typed
                    fields = {**fields, "messages": messages}
                replayed = is_replayed(text)
                own = own_chat(messages, text, quirks, target.maker)
                if quirks.message_members is not None:
                    own, lost = asked_only(own, quirks.message_members)
                if own is not messages:
                    fields = {**fields, "messages": own}
        plain = is_plain(quirks)
        if replayed or lost or not plain or target.traits is not NOTHING_SAID or target.max_output_tokens is not None:
            fit = Fit(call.on_unsupported(target.on_unsupported))
            for name in lost:
                fit.replayed(name)
            try:
                if replayed and isinstance(call.request, ChatRequest):
                    fields = _told_once(fields, call.request, fit)
                fields = fitted_to_model(fields, target, fit)
                if not plain:
                    fields = fitted(fields, quirks, fit)
            except Unsupported as unsupported:
                raise refusal(unsupported, target) from unsupported
            dropped = fit.dropped
        if call.stream and quirks.stream_usage:
            fields = with_usage(fields)
        body = _encode({**fields, "model": target.model})
        return UpstreamRequest(PATHS[type(call.request)], body, dropped=dropped, maker=target.maker)

    def takes(self, call: Call, target: Target) -> bool:
        """All but texts to go on from where it has no such API, and what is to be ended at stop sequences here."""
        if isinstance(call.request, CompletionRequest):
            return target.quirks.completions
        if "stop" not in call.fields:
            return True
        given = bytes(call.fields["stop"])
        if given in _NO_STOP:
            return True
        if not may_stop(target):
            return False
        return given[:1] != b"[" or may_have_stops(target, len(decode_list(given)))

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """The body as it came, but for content in pieces, odd calls and the model's name, and its usage."""
        plain = decode_plain(body) if _is_chat(call) else decode_plain_text(body)
        if plain is None:
            return _mended(call, mended(body.removeprefix(BOM)), sent.maker)
        served = plain.model
        if served != call.model and not call.as_served:
            body = renamed(body, served, call.answer_name)
        return _answer(call, body, plain.usage)

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return OpenAIStream(call, sent.maker)

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        return None

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        """The upstream's own error, under a status that blames whom it should."""
        return body_error(status, body, upstream).after(retry_after)


OPENAI_RELAY: Final[Translator] = OpenAITranslator()


def _told_once(fields: Json, request: ChatRequest, fit: Fit) -> Json:
    """The fields without what a client replays to no purpose. Raises Unsupported where hints are to be refused."""
    messages, again = chat_once(chat_unparsed(fields["messages"], request.messages), request.messages)
    for where in again:
        fit.hint(where, "a tool's result that comes twice")
    return {**fields, "messages": messages}


def _is_chat(call: Call) -> bool:
    """Tells whether a message is asked for, rather than the rest of a text."""
    return isinstance(call.request, ChatRequest)


def _mended(call: Call, body: bytes, maker: str) -> Answer:
    """An answer that may be odd or sealed, as OpenAI's clients can read it. Raises UpstreamFailure for none."""
    try:
        completion = decode_completion(body)
        body = ended(put_right(body, chat=_is_chat(call)))
        if has_sealed(body):
            body = Seals(maker).marked(body)
    except UNREADABLE as error:
        raise invalid_answer(f"The upstream's answer is not a completion: {error}.") from error
    if is_error(completion.error):
        raise inner_error(completion.error)
    if completion.choices is None:
        raise invalid_answer("The upstream's answer has no choices.")
    return _answer(call, named(body, call.answer_name), completion.usage)


def _answer(call: Call, body: bytes, report: UsageReport | None) -> Answer:
    """The answer with its usage: as reported, or estimated where nothing is, or zero for what says something."""
    usage = usage_of(report) if report is not None else _UNSAID
    if usage.measured and (usage.completion_tokens or not _SAYS.search(body)):
        return Answer(body, usage)
    choices = decode_completion(body).choices or ()
    return Answer(body, estimate(call, completion_bytes=sum(len(memoryview(choice)) for choice in choices)))


def refusal(unsupported: Unsupported, target: Target) -> ApiError:
    """The error about a field that the provider refuses, by the client's own name for it."""
    message = f"The provider of '{target.model}' does not support {unsupported.what}."
    return ApiError(400, message, code="unsupported_parameter", param=unsupported.field)


def with_usage(fields: Json) -> Json:
    """A streamed request's fields with `stream_options.include_usage` set and everything else kept."""
    options = fields.get("stream_options")
    if options is None or bytes(options) == b"null":
        return {**fields, "stream_options": _WITH_USAGE}
    known = msgspec.json.decode(options, type=Json)
    return {**fields, "stream_options": Raw(_encode({**known, "include_usage": True}))}
