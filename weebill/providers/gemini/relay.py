"""Clients of the Gemini API to upstreams that speak it: bytes pass through; the model is in the path.

Upstreams are always asked for server-sent events; a client that asked for a JSON array gets their data as its items.
Only events that hold an end or an error are looked into, and the last one with a usage, found by their literal bytes:
inside a JSON text a quote is always escaped.
"""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from weebill.providers.base import LINGER_S, Answer, AnswerCollector, ByteStream, Target, UpstreamRequest
from weebill.providers.gemini.decode import not_an_answer
from weebill.providers.gemini.dialect import GEMINI_DIALECT, GeminiDialect
from weebill.providers.gemini.errors import body_error, status_error
from weebill.providers.gemini.history import own_gemini
from weebill.providers.gemini.stream import cut
from weebill.providers.naming import MODEL_VERSION, named
from weebill.providers.usage import estimate
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.gemini import AnyJson, Status, UsageMetadata, Wire, given
from weebill.wire.gemini_request import wants_array
from weebill.wire.reply import Usage
from weebill.wire.sse import EventSplitter, event_data

_encode: Final = msgspec.json.encode


class _Candidate(Wire, frozen=True):
    finish_reason: str | None = None
    index: int = 0


class _Piece(Wire, frozen=True):
    """The part of a response that the gateway reads."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: AnyJson = UNSET
    usage_metadata: UsageMetadata | None = None
    error: Status | None = None


class _Whole(Wire, frozen=True):
    candidates: list[Raw] | None = None
    prompt_feedback: AnyJson = UNSET
    usage_metadata: UsageMetadata | None = None
    error: Status | None = None


class _Failure(Wire, frozen=True):
    error: Status


_decode_piece: Final = msgspec.json.Decoder(_Piece).decode
_decode_whole: Final = msgspec.json.Decoder(_Whole).decode
_decode_failures: Final = msgspec.json.Decoder(_Failure | list[_Failure]).decode


class GeminiRelay:
    """From the Gemini API to `dialect`."""

    def __init__(self, dialect: GeminiDialect) -> None:
        self._dialect = dialect

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body as it came, but for what other models want back."""
        fields = call.fields
        if "contents" in fields:
            fields = {**fields, "contents": own_gemini(fields["contents"], target.model)}
        return UpstreamRequest(self._dialect.path(target, call.stream), _encode(fields))

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """The body as it came, but for the model's name, and its usage."""
        try:
            whole = _decode_whole(body)
        except UNREADABLE as error:
            raise not_an_answer(str(error)) from error
        if whole.error is not None:
            raise status_error(whole.error)
        if not whole.candidates and given(whole.prompt_feedback) is None:
            raise not_an_answer("it has no candidates")
        body = named(body, call.answer_name, MODEL_VERSION)
        if whole.usage_metadata is not None:
            return Answer(body, whole.usage_metadata.usage())
        return Answer(body, estimate(call, completion_bytes=sum(len(memoryview(c)) for c in whole.candidates or ())))

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return GeminiRelayStream(call)

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        return None

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> ApiError:
        """Google's own error, under a status that blames whom it should."""
        return body_error(status, body, upstream).after(retry_after)


GEMINI_RELAY: Final = GeminiRelay(GEMINI_DIALECT)


class GeminiRelayStream:
    """A `ByteStream` from the Gemini API to itself."""

    __slots__ = (
        "_array",
        "_call",
        "_choices",
        "_events",
        "_name",
        "_open",
        "_premature",
        "_sent",
        "_splitter",
        "_usage",
        "error",
    )

    def __init__(self, call: Call) -> None:
        self._call = call
        self._array = wants_array(call)
        self._name = call.answer_name
        self._choices = call.request.choices
        self._splitter = EventSplitter()
        self._events = 0
        self._sent = False
        self._premature = False  # whether anything was said after a reason for the end
        self._open: dict[int, bool] = {}
        self._usage = b""
        self.error: ApiError | None = None

    @property
    def usage(self) -> Usage:
        """As last reported; else estimated at a token for each event."""
        if self._usage:
            try:
                piece = _decode_piece(self._usage)
            except UNREADABLE:
                return estimate(self._call, completion_tokens=self._events)
            if piece.usage_metadata is not None:
                return piece.usage_metadata.usage()
        return estimate(self._call, completion_tokens=self._events)

    @property
    def begun(self) -> bool:
        """Whether a candidate has come, or word that there will be none."""
        return bool(self._open)

    @property
    def owed_s(self) -> float:
        """These streams have no last event, and some models name a reason for the end in every piece."""
        if self._premature or len(self._open) < self._choices or any(self._open.values()):
            return inf
        return LINGER_S

    def feed(self, data: bytes) -> bytes:
        """The whole events in `data` and what was left of earlier data."""
        return b"".join([self._pass(block) for block in self._splitter.feed(data)])

    def finish(self) -> bytes:
        """The end of an array. Raises ApiError 502 unless every candidate has ended."""
        rest = self._splitter.rest()
        last = self._pass(rest) if rest else b""
        if self.error is not None:
            return last
        if not self._open or any(self._open.values()):
            raise cut()
        return last + b"]" if self._array else last

    def _pass(self, block: bytes) -> bytes:
        """What to send on for one event."""
        if self.error is not None:
            return b""
        data = event_data(block)
        if not data:
            if block[:1] in (b"{", b"["):
                self.error = _bare_error(block)
            return b"" if self._array or self.error is not None else block + b"\r\n\r\n"
        self._events += 1
        if self._open and not any(self._open.values()) and len(self._open) >= self._choices and b'"parts"' in data:
            self._premature = True
        if b'"usageMetadata"' in data:
            self._usage = data
        if (
            self._choices > 1
            or not self._open
            or b'"finishReason"' in data
            or b'"error"' in data
            or b'"promptFeedback"' in data
        ):
            error = self._inspect(data)
            if error is not None:
                self.error = error
                return b""
        written = named(data, self._name, MODEL_VERSION)
        if not self._array:
            if written is not data:
                block = b"data: " + written.replace(b"\n", b"\ndata: ")
            return block.replace(b"\n", b"\r\n") + b"\r\n\r\n"
        start, self._sent = (b",\r\n" if self._sent else b"["), True
        return start + written

    def _inspect(self, data: bytes) -> ApiError | None:
        """Take note of which candidates are under way and which have ended; the error that the event is, if it is."""
        try:
            piece = _decode_piece(data)
        except UNREADABLE as error:
            raise not_an_answer(str(error)) from error
        if piece.error is not None:
            return status_error(piece.error)
        if given(piece.prompt_feedback) is not None and not piece.candidates:
            self._open.setdefault(0, False)
        for candidate in piece.candidates or ():
            if candidate.finish_reason is not None:
                self._open[candidate.index] = False
            else:
                self._open.setdefault(candidate.index, True)
        return None


def _bare_error(block: bytes) -> ApiError:
    """The error in what is JSON but no event."""
    try:
        decoded = _decode_failures(block)
    except UNREADABLE as error:
        return not_an_answer(str(error))
    if isinstance(decoded, list):
        return status_error(decoded[0].error) if decoded else not_an_answer("it is an empty list")
    return status_error(decoded.error)
