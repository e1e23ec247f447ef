"""Any inbound API to any dialect: bytes through where both speak the same format, else by the canonical form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from weebill.apis.base import Api, KeepsResponse, StreamEncoder
from weebill.providers.base import (
    Answer,
    AnswerCollector,
    ByteStream,
    Dialect,
    ReadsByRequest,
    StreamDecoder,
    Target,
    Translator,
    Unsupported,
    UpstreamRequest,
)
from weebill.providers.registry import STREAMS_ONLY, relay
from weebill.providers.registry import dialect as registry_dialect
from weebill.providers.usage import estimate
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.reply import (
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Reply,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

# Fields of a conversation that say what is asked rather than how; they are never dropped.
_SUBSTANCE: Final = frozenset({"turns", "tools"})
_ALWAYS_SUPPORTED: Final = frozenset({"turns", "hints", "extra"})
# One for each API and kind of upstream, of which there are a few dozen.
_TRANSLATORS: Final[dict[tuple[str, str, frozenset[str]], Translator]] = {}
_NOTHING_ASKED: Final = Conversation(turns=())
# Values that ask for what every target does anyway.
_NEUTRAL: Final[Mapping[str, object]] = {
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "repetition_penalty": 1,
    "min_p": 0,
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "logit_bias": {},
    "modalities": ("text",),
}
_DEFAULTS: Final = {field: getattr(_NOTHING_ASKED, field) for field in Conversation.__struct_fields__}


def translator(api: Api, dialect: str, spoken: frozenset[str]) -> Translator:
    """From an API to a deployment of `dialect`, whose upstream speaks all of `spoken` at the same address."""
    key = (api.name, dialect, spoken)
    known = _TRANSLATORS.get(key)
    if known is None:
        known = _TRANSLATORS[key] = _translator(api, dialect, spoken)
    return known


def _translator(api: Api, dialect: str, spoken: frozenset[str]) -> Translator:
    for name in (dialect, *sorted(spoken - {dialect})):
        found = relay(api.native, name)
        if found is not None:
            return found
    return Bridge(api, registry_dialect(dialect), streams_only=dialect in STREAMS_ONLY)


class Bridge:
    """A `Translator` by way of the canonical form.

    `streams_only` is for a dialect whose upstream is asked for a stream even if the client is not.
    """

    def __init__(self, api: Api, dialect: Dialect, *, streams_only: bool = False) -> None:
        self._api = api
        self._dialect = dialect
        self._names = api.fields()
        self._streams_only = streams_only
        self._by_request = dialect if isinstance(dialect, ReadsByRequest) else None

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The request for the upstream. Raises ApiError 400, naming the client's field, for what it cannot do."""
        conversation = self._fit(self._conversation(call), call, target)
        stream = call.stream or self._streams_only
        while True:
            try:
                return self._dialect.encode(conversation, target, stream=stream)
            except Unsupported as unsupported:
                field = unsupported.field
                if call.drop_params and field in conversation.extra:
                    extra = {name: value for name, value in conversation.extra.items() if name != field}
                    conversation = msgspec.structs.replace(conversation, extra=extra)
                    continue
                if not call.drop_params or field in _SUBSTANCE or getattr(conversation, field, None) == _default(field):
                    raise self._refusal(field, unsupported.what, target) from unsupported
                conversation = msgspec.structs.replace(conversation, **{field: _default(field)})

    def decode(self, call: Call, body: bytes) -> Answer:
        """The answer in the client's format. Raises ApiError 502 if there is none in `body`."""
        try:
            if not body.isascii():
                body.decode()  # so that what is kept raw is UTF-8, too
            return self._render(call, self._dialect.decode(body))
        except UNREADABLE as error:
            raise _unreadable(error) from error

    def stream(self, call: Call) -> ByteStream:
        return BridgeStream(call, self._decoder(call), self._api.stream(call))

    def collect(self, call: Call) -> AnswerCollector | None:
        return _Collector(self, call, self._decoder(call)) if self._streams_only else None

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> ApiError:
        """The upstream's own error, with OpenAI's status and code."""
        return self._dialect.error(status, body, upstream).after(retry_after)

    def _conversation(self, call: Call) -> Conversation:
        return self._api.conversation(call)

    def _decoder(self, call: Call) -> StreamDecoder:
        if self._by_request is None:
            return self._dialect.stream()
        return self._by_request.stream_for(self._conversation(call))

    def _render(self, call: Call, reply: Reply) -> Answer:
        if not reply.usage.measured:
            reply = msgspec.structs.replace(reply, usage=_estimated(call, reply))
        return Answer(self._api.answer(call, reply), reply.usage)

    def _fit(self, conversation: Conversation, call: Call, target: Target) -> Conversation:
        """The conversation without what this dialect has no word for, if the request allows that. Raises ApiError."""
        supported = self._dialect.supported
        dropped: dict[str, object] = {}
        if conversation.extra and "extra" not in supported:
            if not call.drop_params:
                field = next(iter(conversation.extra))
                raise self._refusal(field, f"the field '{field}'", target)
            dropped["extra"] = {}
        for field, default in _DEFAULTS.items():
            if field in supported or field in _ALWAYS_SUPPORTED:
                continue
            value = getattr(conversation, field)
            if value == default:
                continue
            if field in _NEUTRAL and value == _NEUTRAL[field]:
                dropped[field] = default
                continue
            if not call.drop_params or field in _SUBSTANCE:
                raise self._refusal(field, self._names.get(field, field), target)
            dropped[field] = default
        return msgspec.structs.replace(conversation, **dropped) if dropped else conversation

    def _refusal(self, field: str, what: str, target: Target) -> ApiError:
        where = f"'{target.model}' at '{target.provider}'" if target.provider else f"'{target.model}'"
        return ApiError(
            400,
            f"{where} does not support {what}.",
            code="unsupported_parameter",
            param=self._names.get(field, field),
        )


def failure(api: Api, stream: ByteStream, error: ApiError) -> bytes:
    """The end of a client's stream that has begun and failed."""
    return stream.fail(error) if isinstance(stream, BridgeStream) else api.error_event(error)


class BridgeStream:
    """An upstream's stream as the client's."""

    __slots__ = ("_call", "_decoder", "_encoder", "_pieces", "_reported", "begun", "error")

    def __init__(self, call: Call, decoder: StreamDecoder, encoder: StreamEncoder) -> None:
        self._call = call
        self._decoder = decoder
        self._encoder = encoder
        self._pieces = 0
        self._reported: Usage | None = None
        self.begun = False
        self.error: ApiError | None = None

    @property
    def usage(self) -> Usage:
        """As reported; else estimated at a token for each piece."""
        return self._reported or estimate(self._call, completion_tokens=self._pieces)

    @property
    def response(self) -> bytes:
        """The Response object, where that is the client's format."""
        return self._encoder.response if isinstance(self._encoder, KeepsResponse) else b""

    def feed(self, data: bytes) -> bytes:
        if self.error is not None:
            return b""
        try:
            return self._write(self._decoder.feed(data))
        except UNREADABLE as error:
            raise _unreadable(error) from error

    def finish(self) -> bytes:
        try:
            last = self._write(self._decoder.finish())
        except UNREADABLE as error:
            raise _unreadable(error) from error
        if self.error is not None:
            raise self.error
        if self._reported is None:
            last += self._encoder.feed([UsageReported(self.usage)])
        return last + self._encoder.finish()

    def fail(self, error: ApiError) -> bytes:
        return self._encoder.fail(error)

    def _write(self, events: Sequence[Event]) -> bytes:
        for at, event in enumerate(events):
            kind = type(event)
            if kind in _PIECES:
                self._pieces += 1
                self.begun = True
            elif kind in _ALSO_CONTENT:
                self.begun = True
            elif isinstance(event, UsageReported):
                if event.usage.measured:
                    self._reported = event.usage
            elif isinstance(event, Failed):
                self.error = event.error
                return self._encoder.feed(list(events[:at]))
        return self._encoder.feed(list(events)) if events else b""


class _Collector:
    """One answer out of an upstream's stream."""

    def __init__(self, bridge: Bridge, call: Call, decoder: StreamDecoder) -> None:
        self._bridge = bridge
        self._call = call
        self._decoder = decoder
        self._builder = ReplyBuilder()
        self.error: ApiError | None = None

    @property
    def usage(self) -> Usage:
        usage = self._builder.usage
        return usage if usage.measured else _estimated(self._call, self._builder.reply())

    def feed(self, data: bytes) -> None:
        self._add(self._decoder.feed(data))

    def finish(self) -> Answer:
        self._add(self._decoder.finish())
        if self.error is not None:
            raise self.error
        return self._bridge._render(self._call, self._builder.reply())

    def _add(self, events: Sequence[Event]) -> None:
        try:
            for event in events:
                self._builder.add(event)
        except ApiError as error:
            self.error = error


_ALSO_CONTENT: Final = frozenset({ToolStarted, WholePart, Finished})
_PIECES: Final = frozenset({TextDelta, ReasoningDelta, RefusalDelta, ToolArguments})


def _unreadable(error: Exception) -> ApiError:
    """For what is JSON on the outside only, such as log probabilities that hold something else."""
    message = f"A part of the upstream's answer cannot be read: {error}."
    return ApiError(502, message, code="upstream_invalid_answer")


def _default(field: str) -> object:
    return _DEFAULTS.get(field)


def _estimated(call: Call, reply: Reply) -> Usage:
    """What an answer without a report is likely to have used."""
    return estimate(call, completion_bytes=sum(len(msgspec.json.encode(choice.parts)) for choice in reply.choices))
