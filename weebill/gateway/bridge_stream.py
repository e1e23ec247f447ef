"""Translates an upstream's stream into the client's API, event by event."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Final

import msgspec

from weebill.apis.base import KeepsResponse, StreamEncoder, is_beyond
from weebill.gateway.for_client import AS_IT_IS, ForClient
from weebill.providers.base import LINGER_S, SETTLE_S, SaysWhenOver, StreamDecoder
from weebill.providers.usage import estimate
from weebill.wire.accumulate import MAX_NAMED
from weebill.wire.call import Call
from weebill.wire.conversation import Citation, Part, ToolUse
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.failure import UpstreamFailure, invalid_answer
from weebill.wire.reply import (
    CitationAdded,
    Event,
    Failed,
    Finished,
    PassedOver,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolArguments,
    ToolStarted,
    Usage,
    UsageReported,
    WholePart,
)

_ALSO_CONTENT: Final = frozenset({ToolStarted, WholePart, Finished})
_PIECES: Final = frozenset({TextDelta, ReasoningDelta, RefusalDelta, ToolArguments})
FURTHER_CHOICE: Final = "choices"
"""The name under which choices are reported that the client's API cannot show."""


class BridgeStream:
    """An upstream's stream as the client's."""

    __slots__ = (
        "_call", "_decoder", "_encoder", "_ends", "_for_client", "_over", "_pieces", "_reported", "begun", "dropped",
        "error",
    )  # fmt: skip

    def __init__(
        self, call: Call, decoder: StreamDecoder, encoder: StreamEncoder, for_client: ForClient = AS_IT_IS
    ) -> None:
        self._call = call
        self._decoder = decoder
        self._encoder = encoder
        self._over = decoder if isinstance(decoder, SaysWhenOver) else None
        self._ends = 0
        self._for_client = for_client
        self._pieces = 0
        self._reported: Usage | None = None
        self.begun = False
        self.error: UpstreamFailure | None = None
        self.dropped: dict[str, None] = {}

    @property
    def usage(self) -> Usage:
        """As reported; else estimated at one token for each piece."""
        return self._reported or estimate(self._call, completion_tokens=self._pieces)

    @property
    def owed_s(self) -> float:
        """As the decoder says; else by the ends of all choices, after which usage may follow."""
        owed_s = inf if self._over is None else self._over.owed_s
        if not self._ends or self._ends < self._call.request.choices:
            return owed_s
        return min(owed_s, LINGER_S if self._reported is None else SETTLE_S)

    @property
    def response(self) -> bytes:
        """The Response object, if that is the client's format."""
        return self._encoder.response if isinstance(self._encoder, KeepsResponse) else b""

    def feed(self, data: bytes) -> bytes:
        if self.error is not None:
            return b""
        try:
            return self._write(self._decoder.feed(data))
        except UNREADABLE as error:
            raise unreadable(error) from error

    def finish(self) -> bytes:
        try:
            last = self._write(self._decoder.finish())
        except UNREADABLE as error:
            raise unreadable(error) from error
        if self.error is not None:
            raise self.error
        if self._reported is None:
            last += self._encoder.feed([UsageReported(self.usage)])
        return last + self._encoder.finish()

    def fail(self, error: ApiError) -> bytes:
        return self._encoder.fail(error)

    def _note_unsaid(self, event: Event) -> None:
        """Reports a part that the client's API has no place for."""
        kind = _part_of(event)
        if kind is not None and kind in self._for_client.unsaid:
            self.dropped[self._for_client.unsaid[kind]] = None

    def _write(self, events: Sequence[Event]) -> bytes:
        events = self._for_client.events(events)
        for at, event in enumerate(events):
            kind = type(event)
            if kind in _PIECES:
                self._pieces += 1
                self.begun = True
            elif kind in _ALSO_CONTENT:
                self.begun = True
                if isinstance(event, Finished):
                    self._ends += 1
                    if event.choice and is_beyond(event.choice, self._encoder):
                        self.dropped[FURTHER_CHOICE] = None
                elif self._for_client.unsaid:
                    self._note_unsaid(event)
            elif kind is CitationAdded:
                self._note_unsaid(event)
            elif isinstance(event, UsageReported):
                # Usage without output tokens, after output, is no report.
                if event.usage.measured and (event.usage.completion_tokens or not self._pieces):
                    self._reported = event.usage
            elif isinstance(event, Started) and not self._call.as_served:
                started = msgspec.structs.replace(event, model=self._call.model)
                events = [*events[:at], started, *events[at + 1 :]]
            elif isinstance(event, PassedOver):
                if len(self.dropped) < MAX_NAMED:
                    self.dropped[event.what] = None
            elif isinstance(event, Failed):
                self.error = event.error
                return self._encoder.feed(_told(events[:at]))
        if self.dropped:
            events = _told(events)
        return self._encoder.feed(list(events)) if events else b""


def _part_of(event: Event) -> type[Part] | type[Citation] | None:
    """Returns the kind of part that an event is about."""
    if isinstance(event, WholePart):
        return type(event.part)
    return ToolUse if isinstance(event, ToolStarted) else Citation if isinstance(event, CitationAdded) else None


def _told(events: Sequence[Event]) -> list[Event]:
    """Returns the events without those that are only reported."""
    return [event for event in events if type(event) is not PassedOver]


def unreadable(error: Exception) -> UpstreamFailure:
    """Returns the failure for an answer that is valid JSON with unreadable parts, such as log probabilities."""
    message = f"A part of the upstream's answer cannot be read: {error}."
    return invalid_answer(message)
