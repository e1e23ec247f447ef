"""Ends answers at a stop sequence, if the request has some and the target has no setting for them.

Only text is searched, not reasoning or tool arguments. The sequence and all that follows are left out, as providers do;
the provider's usage stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.around import DecoderAround
from weebill.providers.base import StreamDecoder
from weebill.wire.conversation import Part, Text
from weebill.wire.failure import UpstreamFailure
from weebill.wire.lenient import reader
from weebill.wire.reply import (
    Choice,
    CitationAdded,
    Event,
    Failed,
    Finished,
    Logprobs,
    PassedOver,
    Reply,
    Started,
    TextDelta,
    UsageReported,
)


class _Entry(msgspec.Struct, frozen=True):
    token: str = ""


_decode_entry: Final = reader(_Entry)


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Returns the position and value of the first of `stops` in a text; of two at one position, the longer."""
    found: tuple[int, str] | None = None
    for stop in stops:
        at = text.find(stop)
        if at >= 0 and (found is None or (at, -len(stop)) < (found[0], -len(found[1]))):
            found = at, stop
    return found


def held_back(text: str, stops: Sequence[str]) -> int:
    """Returns the number of characters at the end of a text that may begin one of `stops`.

    >>> held_back("so EN", ["END", "N"])
    2
    """
    most = 0
    for stop in stops:
        for length in range(min(len(stop) - 1, len(text)), most, -1):
            if text.endswith(stop[:length]):
                most = length
                break
    return most


def until_stop(reply: Reply, stops: Sequence[str]) -> Reply:
    """Returns the reply with each choice ended at its first stop sequence."""
    choices = tuple([_ended(choice, stops) for choice in reply.choices])
    return msgspec.structs.replace(reply, choices=choices)


def _ended(choice: Choice, stops: Sequence[str]) -> Choice:
    kept: list[Part] = []
    for part in choice.parts:
        found = first_stop(part.text, stops) if isinstance(part, Text) else None
        if found is None:
            kept.append(part)
            continue
        at, stop = found
        if at and isinstance(part, Text):
            cited = tuple([each for each in part.citations if each.end is None or each.end <= at])
            kept.append(Text(part.text[:at], citations=cited))
        said = sum([len(each.text) for each in kept if isinstance(each, Text)])
        return Choice(tuple(kept), "stop", stop, None if choice.logprobs is None else _first_of(choice.logprobs, said))
    return choice


def _first_of(logprobs: Sequence[Raw], characters: int) -> tuple[Raw, ...]:
    """Returns the entries of the tokens that begin within the first `characters`."""
    kept: list[Raw] = []
    for entry in logprobs:
        if characters <= 0:
            break
        kept.append(entry)
        characters -= len(_decode_entry(entry).token)
    return tuple(kept)


class _Said:
    """The state of one choice: text that may begin a stop sequence, the events about that text, and if a stop
    has come.
    """

    __slots__ = ("block", "ended", "held", "waiting")

    def __init__(self) -> None:
        self.held = ""
        self.waiting: list[Event] = []
        self.block = 0
        self.ended = False


class UntilStop(DecoderAround):
    """A `StreamDecoder` that ends each choice at its first stop sequence."""

    __slots__ = ("_said", "_stops")

    def __init__(self, decoder: StreamDecoder, stops: Sequence[str]) -> None:
        super().__init__(decoder)
        self._stops = stops
        self._said: dict[int, _Said] = {}

    def finish(self) -> Sequence[Event]:
        """Returns the last events. Raises UpstreamFailure if the body broke off before a stop sequence."""
        try:
            events = self._decoder.finish()
        except UpstreamFailure:
            if self._said and all(said.ended for said in self._said.values()):
                return ()  # all choices have ended
            raise
        return self.read(events)

    def read(self, events: Sequence[Event]) -> list[Event]:
        """Returns the events before the end of each choice."""
        told: list[Event] = []
        for event in events:
            if isinstance(event, Started | UsageReported | PassedOver | Failed):
                told.append(event)
                continue
            said = self._said.get(event.choice)
            if said is None:
                said = self._said[event.choice] = _Said()
            if said.ended:
                continue
            if isinstance(event, TextDelta):
                self._text(event, said, told)
            elif isinstance(event, Logprobs | CitationAdded) and said.held:
                said.waiting.append(event)  # they concern text that may be left out
            else:
                self._let_go(said, event.choice, told)
                told.append(event)
        return told

    def _text(self, event: TextDelta, said: _Said, told: list[Event]) -> None:
        if said.held and said.block != event.block:
            self._let_go(said, event.choice, told)
        text = said.held + event.text
        said.block, said.held = event.block, ""
        found = first_stop(text, self._stops)
        if found is not None:
            at, stop = found
            said.ended = True
            if at:
                told.append(TextDelta(text[:at], event.block, event.choice))
                told += [each for each in said.waiting if isinstance(each, CitationAdded)]
            told.append(Finished("stop", stop, event.choice))
            return
        keep = held_back(text, self._stops)
        if keep:
            said.held = text[-keep:]
            text = text[:-keep]
        if text:
            told.append(TextDelta(text, event.block, event.choice))
            told += said.waiting
            said.waiting.clear()

    def _let_go(self, said: _Said, choice: int, told: list[Event]) -> None:
        """Passes on the text that was held back, as no more text follows it."""
        if said.held:
            told.append(TextDelta(said.held, said.block, choice))
            told += said.waiting
            said.waiting.clear()
            said.held = ""
