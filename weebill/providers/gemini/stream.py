"""Streams in Google's generateContent format: server-sent events, each a piece of the answer.

There is no end marker: a stream is complete if every candidate has said why it ended. A stream that fails ends in an
error, as an event or as bare JSON. Who does not know how to stream answers with JSON alone: one response, or a list.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

from weebill.providers.base import LINGER_S, SETTLE_S
from weebill.providers.gemini.decode import AnswerReader, not_an_answer, read_response, responses
from weebill.wire.conversation import Maker
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure, invalid_answer
from weebill.wire.gemini import ORIGIN, GenerateContentResponse
from weebill.wire.lenient import BOM
from weebill.wire.literals import LF
from weebill.wire.reply import Event
from weebill.wire.sse import MAX_EVENT_BYTES, NULL, EventSplitter, bounded, event_data

_USUAL: Final = b"data: {"
DONE: Final = b"[DONE]"
"""Not Google's, but some put it at the end of what is."""


class GeminiStream:
    """A `StreamDecoder`."""

    __slots__ = ("_done", "_pieces", "_reader")

    def __init__(self, origin: Maker = ORIGIN) -> None:
        self._pieces = PieceSplitter()
        self._reader = AnswerReader(origin)
        self._done = False

    @property
    def owed_s(self) -> float:
        """These streams have no last event, and some models name a reason for the end in every piece."""
        if self._done:
            return 0.0
        if self._reader.premature or not self._reader.ended:
            return inf
        return SETTLE_S if self._reader.settled else LINGER_S

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes."""
        return self._read(self._pieces.feed(data))

    def finish(self) -> Sequence[Event]:
        """The ends of all candidates. Raises UpstreamFailure if one has none."""
        events = self._read(self._pieces.rest())
        self._reader.end(events, whole=self._done)
        return events

    def _read(self, blocks: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for block in blocks:
            if self._reader.failed:
                break
            if block.startswith(_USUAL) and LF not in block:
                self._reader.read(read_usual(block), events)
                continue
            data = piece_data(block)
            if data == DONE:
                self._done = True
            elif data and data != NULL:
                for response in _responses(block, data):
                    self._reader.read(response, events)
        return events


class PieceSplitter:
    """Cuts a stream into its events; one that is JSON alone is a single piece, once it is complete."""

    __slots__ = ("_bare", "_begun", "_events")

    def __init__(self) -> None:
        self._events = EventSplitter()
        self._bare = bytearray()
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """The blocks that `data` completes. Raises UpstreamFailure on one over MAX_EVENT_BYTES."""
        if self._begun and not self._bare:
            return self._events.feed(data)
        self._bare += data
        if len(self._bare) > MAX_EVENT_BYTES:
            raise invalid_answer(f"The upstream sent an answer of over {MAX_EVENT_BYTES} bytes.")
        start = bytes(self._bare[:64]).removeprefix(BOM).lstrip()
        if not start or BOM.startswith(start) or start[:1] in (b"{", b"["):
            self._begun = bool(start)
            return []
        self._begun = True
        data = bytes(self._bare).removeprefix(BOM).lstrip()
        self._bare.clear()
        return self._events.feed(data)

    def rest(self) -> list[bytes]:
        """The rest: JSON alone, or a last event without its blank line."""
        rest = bounded(bytes(self._bare)).removeprefix(BOM).strip() or self._events.rest()
        self._bare.clear()
        return [rest] if rest else []


def read_usual(block: bytes) -> GenerateContentResponse:
    """The response in an event of one line. Raises UpstreamFailure if there is none."""
    try:
        return read_response(block[6:])
    except UNREADABLE as error:
        raise not_an_answer(str(error)) from error


def piece_data(block: bytes) -> bytes:
    """The JSON in an event block, or in what is JSON alone; b"" for what is neither."""
    data = event_data(block)
    return block if not data and block[:1] in (b"{", b"[") else data


def _responses(block: bytes, data: bytes) -> list[GenerateContentResponse]:
    """The responses in an event. Raises UpstreamFailure if there is none."""
    try:
        return responses(data)
    except UpstreamFailure:
        if not block.startswith(b"data:"):
            raise
        # Lines of a JSON text that was written over several, of which only the first has a field's name.
        return responses(block[5:].replace(b"\ndata:", b"\n"))
