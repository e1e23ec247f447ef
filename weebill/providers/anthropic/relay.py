"""Anthropic's API to itself: bytes pass through; only the model's name is put in and the usage picked out.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.anthropic import decode as decoding
from weebill.providers.anthropic.complete import completed
from weebill.providers.anthropic.encode import headers
from weebill.providers.anthropic.fields import fitted, unthought
from weebill.providers.anthropic.history import mended, mended_system
from weebill.providers.anthropic.plain import message_events
from weebill.providers.anthropic.relay_events import DELTA, EventRepair, marked_answer, with_kind
from weebill.providers.anthropic.relay_shapes import RelayedEvent, RelayedMessage
from weebill.providers.base import LINGER_S, Answer, AnswerCollector, ByteStream, Target, Unsupported, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.media import plainly_typed
from weebill.providers.naming import named_within, renamed
from weebill.providers.replayed import anthropic_once
from weebill.providers.usage import estimate
from weebill.wire.anthropic import ORIGIN
from weebill.wire.anthropic_usage import UsageReport
from weebill.wire.call import Call
from weebill.wire.conversation import Maker
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.failure import UpstreamFailure, cut
from weebill.wire.json_values import decode_object
from weebill.wire.lenient import reader
from weebill.wire.literals import has_any
from weebill.wire.reply import Usage
from weebill.wire.sse import BOM, DONE, EventSplitter, event_data, in_one_line
from weebill.wire.surrogates import mended as whole_characters

_encode = msgspec.json.encode
_END: Final = b"\n\n"
_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}'
_MESSAGE_STOP: Final = _STOP + _END
_DONE: Final = DONE.strip()
# What events that are to be looked into hold. A quote inside a JSON text is always escaped, so that a model can say
# none of these; at worst a text that is one of these words alone is looked into for nothing.
_NEEDLES: Final = (b'"usage"', b'"error"', b"message_stop", b"message_delta", b'"stop_reason"')


_NONE: Final = Raw()


_decode_answer = reader(RelayedMessage)
_decode_event = reader(RelayedEvent)


def _request(call: Call, target: Target, path: bytes) -> UpstreamRequest:
    fit = Fit(call.on_unsupported(target.on_unsupported))
    try:
        fields = fitted({**call.fields, "model": Raw(_encode(target.model))}, target, fit)
        if "messages" in fields:
            text = bytes(fields["messages"])
            typed = plainly_typed(text)
            if typed is not text:
                fields["messages"] = Raw(typed)
            fields["messages"], again = anthropic_once(fields["messages"])
            for where in again:
                fit.hint(where, "a tool's result that comes twice")
            signed = target.traits.signed
            fields["messages"] = mended(fields["messages"], target.maker or ORIGIN, signed=signed)
            fields = unthought(fields, fit, signed=signed)
    except Unsupported as unsupported:
        what = f"'{target.model}' does not support {unsupported.what}. \"drop_params\": true does without it."
        raise ApiError(400, what, code="unsupported_parameter", param=unsupported.field) from unsupported
    if "system" in fields:
        system = mended_system(fields["system"])
        if system is None:
            del fields["system"]
        else:
            fields["system"] = system
    given = call.headers
    version = given.get(b"anthropic-version", b"").decode("latin-1") or None
    betas = (given.get(b"anthropic-beta", b"").decode("latin-1"), target.options.get("anthropic_beta", ""))
    return UpstreamRequest(path, _encode(fields), headers(target, betas, version), fit.dropped, maker=target.maker)


def count_tokens_request(call: Call, target: Target) -> UpstreamRequest:
    """The request that has an Anthropic target count the tokens of a prompt; its answer is the client's as it is."""
    return _request(call, target, b"/messages/count_tokens")


class AnthropicRelay:
    """A `Translator` from Anthropic's API to itself."""

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body as it came, but for the model's name and other models' thinking."""
        return _request(call, target, b"/messages")

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """The body as it came, but for the model's name, and its usage."""
        body = whole_characters(body.removeprefix(BOM))
        try:
            message = _decode_answer(body)
        except UNREADABLE as error:
            raise decoding.invalid(f"is not a message: {error}") from error
        if message.error is not None:
            raise decoding.stream_error(message.error)
        content = bytes(message.content)
        if not content.startswith((b"[{", b"[]")):
            body = _with_blocks(body, message)
        usage = message.usage.usage() if message.usage is not None else estimate(call, completion_bytes=len(content))
        body = completed(renamed(body, message.model, call.answer_name), message, call.model, usage)
        return Answer(marked_answer(body, sent.maker), usage)

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return AnthropicRelayStream(call, sent.maker)

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        return None

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        """The upstream's own error, under a status that blames whom it should."""
        return decoding.error(status, body, upstream).after(retry_after)


def _with_blocks(body: bytes, message: RelayedMessage) -> bytes:
    """A body whose content is blocks, in whatever form it came. Raises UpstreamFailure if it has none."""
    if bytes(message.content)[:1] not in decoding.CONTENT:
        raise decoding.invalid("is not a message: it has no content")
    blocks = decoding.blocks_of(message.content)
    try:
        members = decode_object(body)
    except UNREADABLE as error:
        raise decoding.invalid(f"is not a message: {error}") from error
    return _encode({**members, "content": blocks})


class AnthropicRelayStream:
    """A `ByteStream` from Anthropic's API to itself."""

    __slots__ = (
        "_call", "_ended", "_events", "_finished", "_measured", "_repair", "_report", "_splitter", "error",
    )  # fmt: skip

    def __init__(self, call: Call, provider: Maker = "") -> None:
        self._call = call
        self._repair = EventRepair(_encode(call.model), provider)
        self._splitter = EventSplitter()
        self._report: UsageReport | None = None
        self._measured = False
        self._finished = False
        self._ended = False
        self._events = 0
        self.error: UpstreamFailure | None = None

    @property
    def usage(self) -> Usage:
        """As reported; until the last report, what has been generated is estimated at a token for each event."""
        if self._report is None:
            return estimate(self._call, completion_tokens=self._events)
        usage = self._report.usage()
        if self._measured:
            return usage
        generated = max(usage.completion_tokens, self._events)
        return msgspec.structs.replace(usage, completion_tokens=generated, measured=False)

    @property
    def begun(self) -> bool:
        """Tells whether a piece of content has come, or the end."""
        return bool(self._events) or self._finished or self._ended

    @property
    def owed_s(self) -> float:
        """Nothing after `message_stop`, which follows the reason for the end."""
        return 0.0 if self._ended else LINGER_S if self._finished else inf

    def feed(self, data: bytes) -> bytes:
        """The whole events in `data` and what was left of earlier data."""
        out: list[bytes] = []
        for block in self._splitter.feed(data):
            if self._ended or self.error is not None:
                break
            if self._repair.steady and block.startswith(DELTA) and block.find(b"\n", len(DELTA)) < 0:
                self._events += 1
                out += (block, _END)
                continue
            if block == _DONE:
                # As servers of OpenAI's end theirs; where nothing was said before, it is no answer.
                if not self.begun:
                    continue
                block = _STOP
            came = in_one_line(block)
            block = with_kind(came)
            if block.find(b'"message_start"') >= 0:
                block = self._named(block)
            if has_any(block, _NEEDLES):
                self.error = self._look_into(event_data(block))
                if self.error is not None:
                    break
            elif block.find(b"content_block_delta") >= 0:
                self._events += 1
            out.append(self._repair.event(block))
            if block is not came:
                self._repair.steady = False
        return b"".join(out)

    def finish(self) -> bytes:
        """The rest. Raises UpstreamFailure if the upstream never said why it stopped."""
        rest = self._splitter.rest()
        if rest.startswith(b"{"):
            # Some servers answer a request for a stream with a plain error, or with all of the answer.
            self.error = self._look_into(rest)
            rest = b"" if self.error is not None else self._whole(rest)
        sent = self.feed(rest + _END) if rest else b""
        if self.error is not None or self._ended:
            return sent
        if not self._finished:
            raise cut()
        return sent + _MESSAGE_STOP

    def _whole(self, body: bytes) -> bytes:
        """The events of an answer that came in one piece; b"" where it is none."""
        self._splitter = EventSplitter()
        try:
            return message_events(_with_blocks(body, _decode_answer(body)))
        except (*UNREADABLE, UpstreamFailure, KeyError):
            return b""

    def _named(self, block: bytes) -> bytes:
        """The event that begins a message, with the model's name for the client."""
        data = event_data(block)
        written = named_within(data, "message", self._call.answer_name)
        return block if written is data else b"event: message_start\ndata: " + written

    def _look_into(self, data: bytes) -> UpstreamFailure | None:
        """Take from an event what the gateway needs; the error if it is one."""
        try:
            event = _decode_event(data)
        except UNREADABLE:
            # A comment, or an event still to be invented.
            return None
        if event.error is not None:
            return decoding.stream_error(event.error)
        if event.type == "message_start" and event.message is not None:
            self._report = event.message.usage
        elif event.type == "message_delta":
            self._finished = self._finished or (event.delta is not None and event.delta.stop_reason is not None)
            if event.usage is not None:
                self._report = (self._report or UsageReport()).updated(event.usage)
                self._measured = True
            self._repair.tokens = self.usage.completion_tokens
        elif event.type == "message_stop":
            self._ended = True
            self._repair.tokens = self.usage.completion_tokens
        return None


ANTHROPIC_RELAY: Final = AnthropicRelay()
