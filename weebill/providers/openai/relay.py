"""The OpenAI dialect: bytes pass through; only the model's name and the request for usage are put in.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import Answer, AnswerCollector, ByteStream, Target, Translator, UpstreamRequest
from weebill.providers.fit import Fit, Unsupported
from weebill.providers.naming import named
from weebill.providers.openai.errors import body_error, inner_error, is_error
from weebill.providers.openai.history import own_chat
from weebill.providers.openai.messages import DEVELOPER
from weebill.providers.openai.model_fields import fitted_to_model
from weebill.providers.openai.pieces import has_pieces, joined
from weebill.providers.openai.quirks import fitted, is_plain
from weebill.providers.openai.relay_stream import OpenAIStream
from weebill.providers.openai.relayed import decode_completion
from weebill.providers.openai.repair import has_calls, repaired
from weebill.providers.replayed import chat_once, chat_unparsed
from weebill.providers.usage import estimate
from weebill.wire.call import Call, InboundRequest, Json
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.reply import Usage
from weebill.wire.requests import ChatRequest, CompletionRequest
from weebill.wire.surrogates import mended

_encode = msgspec.json.encode
_UNSAID: Final = Usage()
# Text, or a call's arguments.
_SAYS: Final = re.compile(rb'"(?:content|reasoning_content|reasoning|text|arguments)"\s*:\s*"[^"]')
_WITH_USAGE: Final = Raw(b'{"include_usage":true}')
PATHS: Final[dict[type[InboundRequest], bytes]] = {
    ChatRequest: b"/chat/completions",
    CompletionRequest: b"/completions",
}


class OpenAITranslator:
    """For every upstream that speaks OpenAI's Chat Completions and Completions."""

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body as it came, but for the model's name and other models' reasoning, as model and provider take it.

        A stream is asked for its usage.
        """
        quirks = target.quirks
        fields = {**call.fields, "model": Raw(_encode(target.model))}
        if "messages" in fields:
            fields["messages"] = own_chat(fields["messages"], quirks, developer=target.provider in DEVELOPER)
        fit = Fit(call.on_unsupported(target.on_unsupported))
        try:
            if isinstance(call.request, ChatRequest):
                messages = chat_unparsed(fields["messages"], call.request.messages)
                fields["messages"], again = chat_once(messages, call.request.messages)
                for where in again:
                    fit.hint(where, "a tool's result that comes twice")
            fields = fitted_to_model(fields, target, fit)
            if not is_plain(quirks):
                fields = fitted(fields, quirks, fit)
        except Unsupported as unsupported:
            raise refusal(unsupported, target) from unsupported
        if call.stream and quirks.stream_usage:
            fields = with_usage(fields)
        return UpstreamRequest(PATHS[type(call.request)], _encode(fields), dropped=fit.dropped)

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """The body as it came, but for content in pieces, odd calls and the model's name, and its usage."""
        body = mended(body)
        try:
            completion = decode_completion(body)
            if has_pieces(body):
                body = joined(body)
            if has_calls(body):
                body = repaired(body)
        except UNREADABLE as error:
            raise ApiError(
                502, f"The upstream's answer is not a completion: {error}.", code="upstream_invalid_answer"
            ) from error
        if is_error(completion.error):
            raise inner_error(completion.error).with_more(body)
        if completion.choices is None:
            raise ApiError(502, "The upstream's answer has no choices.", code="upstream_invalid_answer")
        body = named(body, call.answer_name)
        usage = completion.usage.usage() if completion.usage is not None else _UNSAID
        if usage.measured and (usage.completion_tokens or not _SAYS.search(body)):
            return Answer(body, usage)
        return Answer(body, estimate(call, completion_bytes=sum(len(memoryview(c)) for c in completion.choices)))

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return OpenAIStream(call)

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        return None

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> ApiError:
        """The upstream's own error, under a status that blames whom it should."""
        return body_error(status, body, upstream).after(retry_after)


OPENAI_RELAY: Final[Translator] = OpenAITranslator()


def refusal(unsupported: Unsupported, target: Target) -> ApiError:
    """What a client is told of a field that the provider refuses, by the client's own name for it."""
    message = f"The provider of '{target.model}' does not support {unsupported.what}."
    return ApiError(400, message, code="unsupported_parameter", param=unsupported.field)


def with_usage(fields: Json) -> Json:
    """A streamed request's fields with `stream_options.include_usage` set and everything else kept."""
    options = fields.get("stream_options")
    if options is None or bytes(options) == b"null":
        return {**fields, "stream_options": _WITH_USAGE}
    known = msgspec.json.decode(options, type=Json)
    return {**fields, "stream_options": Raw(_encode({**known, "include_usage": True}))}
