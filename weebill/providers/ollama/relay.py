"""Clients of Ollama's API to Ollama: bytes pass through; only the model's name is put in and the usage picked out.

So a prompt may be raw, or have a suffix or a template, which no other API has.

Source: https://docs.ollama.com/api/streaming
"""

from __future__ import annotations

from math import inf
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import Answer, AnswerCollector, ByteStream, Target, UpstreamRequest
from weebill.providers.naming import named, renamed
from weebill.providers.ollama.decode import Piece, body_error, failure_within, not_an_answer, read_piece, usage_of
from weebill.providers.usage import estimate
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, cut, invalid_answer
from weebill.wire.reply import Usage
from weebill.wire.sse import MAX_EVENT_BYTES, bounded

_encode: Final = msgspec.json.encode


class OllamaRelay:
    """A `Translator` from one of Ollama's endpoints to itself."""

    def __init__(self, path: bytes) -> None:
        self._path = path

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body as it came, but for the model's name."""
        return UpstreamRequest(self._path, _encode({**call.fields, "model": Raw(_encode(target.model))}))

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """The body as it came, but for the model's name, and its usage."""
        piece = _read(body)
        if piece.error is not None:
            raise failure_within(piece, piece.error)
        if not piece.done:
            raise not_an_answer("it is not done")
        usage = usage_of(piece)
        if not usage.measured:
            usage = estimate(call, completion_tokens=usage.completion_tokens)
        return Answer(renamed(body, piece.model, call.answer_name), usage)

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return OllamaRelayStream(call)

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        return None

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        """The upstream's own error, under a status that blames whom it should."""
        return body_error(status, body, upstream).after(retry_after)


CHAT_RELAY: Final = OllamaRelay(b"/api/chat")
GENERATE_RELAY: Final = OllamaRelay(b"/api/generate")


class OllamaRelayStream:
    """A `ByteStream` of lines."""

    __slots__ = ("_call", "_last", "_lines", "_name", "_tail", "error")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._name = call.answer_name
        self._tail = b""
        self._lines = 0
        self._last: Piece | None = None
        self.error: UpstreamFailure | None = None

    @property
    def usage(self) -> Usage:
        """As the last line has it; else estimated at a token for each line."""
        reported = Usage() if self._last is None else usage_of(self._last)
        return reported if reported.measured else estimate(self._call, completion_tokens=self._lines)

    @property
    def begun(self) -> bool:
        """Tells whether a line has come: each says something, or is the last."""
        return self._lines > 0

    @property
    def owed_s(self) -> float:
        """Nothing after the line that is done."""
        return inf if self._last is None else 0.0

    def feed(self, data: bytes) -> bytes:
        """The whole lines in `data` and what was left of earlier data."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        if len(self._tail) > MAX_EVENT_BYTES:
            raise invalid_answer(f"The upstream sent an event of over {MAX_EVENT_BYTES} bytes.")
        return b"".join([self._pass(bounded(line)) for line in lines])

    def finish(self) -> bytes:
        """The rest. Raises UpstreamFailure if no line was the last."""
        rest, self._tail = self._tail, b""
        try:
            last = self._pass(rest)
        except UpstreamFailure:
            last = b""  # Half a line is the end of a stream that was cut.
        if self._last is None and self.error is None:
            raise cut()
        return last

    def _pass(self, line: bytes) -> bytes:
        """The bytes to send on for one line; nothing after the last, or after an error."""
        if self._last is not None or self.error is not None or not line or line.isspace():
            return b""
        piece = _read(line)
        if piece.error is not None:
            self.error = failure_within(piece, piece.error)
            return b""
        self._lines += 1
        if piece.done:
            self._last = piece
        return named(line, self._name) + b"\n"


def _read(data: bytes) -> Piece:
    try:
        return read_piece(data)
    except UNREADABLE as error:
        raise not_an_answer(str(error)) from error
