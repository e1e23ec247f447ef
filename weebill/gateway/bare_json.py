"""Takes JSON that was asked for out of the fence, and the sentence around it, in which small models like to put it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from weebill.providers.around import DecoderAround
from weebill.providers.base import StreamDecoder
from weebill.wire.conversation import Part, Text
from weebill.wire.reply import (
    Choice,
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

_FENCE: Final = "```"
# A sentence or two; with more, it is an answer with an example in it.
_MOST_AROUND: Final = 400
# Longer texts are not decoded, as that holds the interpreter.
_MOST: Final = 1_000_000
# Nor are more pieces of a stream held: each takes 150 bytes, and a microsecond to be passed on.
_MOST_PIECES: Final = 20_000
_LABEL: Final = re.compile(r"(?:json[5c]?|javascript|js)?[ \t]{0,20}\r?\n|(?:json)?[ \t]{0,20}(?=[\[{])", re.IGNORECASE)
_BARE: Final = re.compile(r"\s*[\[{]")
_decode: Final = msgspec.json.Decoder(msgspec.Raw).decode


def bare_json(text: str) -> str:
    """Returns the JSON of a text that has it in one fence and little besides; else the text as it is.

    >>> bare_json('Sure:\\n```json\\n{"a": 1}\\n```')
    '{"a": 1}'
    """
    start, end = _place(text)
    return text[start:end]


def _place(text: str) -> tuple[int, int]:
    """Returns the beginning and the end of what is shown of a text."""
    all_of_it = 0, len(text)
    opened = text.find(_FENCE)
    if opened < 0 or len(text) > _MOST or _BARE.match(text):
        return all_of_it
    start, end = opened + len(_FENCE), text.rfind(_FENCE)
    around = opened
    if end < start:
        end = len(text)  # the model has left out the end of the fence
    else:
        around += len(text) - end - len(_FENCE)
    label = _LABEL.match(text, start, end)
    if label is None or around > _MOST_AROUND:
        return all_of_it
    inner = text[label.end() : end]
    try:
        _decode(inner)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return all_of_it
    start = label.end() + len(inner) - len(inner.lstrip())
    return start, label.end() + len(inner.rstrip())


def with_bare_json(reply: Reply) -> Reply:
    """Returns an answer with `bare_json` as its texts."""
    return msgspec.structs.replace(reply, choices=tuple(map(_bared, reply.choices)))


def _bared(choice: Choice) -> Choice:
    # Citations are by place, and more than one text is no JSON.
    if sum(isinstance(part, Text) for part in choice.parts) != 1:
        return choice
    return msgspec.structs.replace(choice, parts=tuple(map(_bared_part, choice.parts)))


def _bared_part(part: Part) -> Part:
    if not isinstance(part, Text) or part.citations:
        return part
    return msgspec.structs.replace(part, text=bare_json(part.text))


class _Begun:
    """A text that has begun, and may be in a fence; `fenced` if it is."""

    __slots__ = ("fenced", "pieces", "size")

    def __init__(self) -> None:
        self.pieces: list[TextDelta] = []
        self.size = 0
        self.fenced = False

    def add(self, piece: TextDelta) -> bool:
        """Takes one more piece. Returns False if it is certain that there is nothing to take out."""
        if self.pieces and self.pieces[0].block != piece.block:
            self.pieces.append(piece)
            return False
        self.pieces.append(piece)
        self.size += len(piece.text)
        if not self.fenced:
            text = self.text()
            if _BARE.match(text):
                return False
            self.fenced = _FENCE in text
        return len(self.pieces) <= _MOST_PIECES and self.size <= (_MOST if self.fenced else _MOST_AROUND)

    def text(self) -> str:
        return "".join([piece.text for piece in self.pieces])

    def bared(self) -> Iterator[TextDelta]:
        """Yields the pieces without what is not shown."""
        start, end = _place(self.text())
        at = 0
        for piece in self.pieces:
            text = piece.text[max(0, start - at) : max(0, end - at)]
            at += len(piece.text)
            if text:
                yield msgspec.structs.replace(piece, text=text)


class BareJson(DecoderAround):
    """A `StreamDecoder` that does the same to streams. Text that does not begin as JSON is held: a fence to its end,
    other text until it is too long for a sentence before one.
    """

    __slots__ = ("_begun", "_decided", "left_out")

    def __init__(self, decoder: StreamDecoder) -> None:
        super().__init__(decoder)
        self._begun: dict[int, _Begun] = {}
        self._decided: set[int] = set()
        self.left_out = 0
        """The number of pieces that have come and are not passed on, or not yet."""

    def finish(self) -> Sequence[Event]:
        """Returns the last events, and all that is held."""
        events = self.read(self._decoder.finish())
        return [*events, *[each for choice in list(self._begun) for each in self._let_go(choice, whole=True)]]

    def read(self, events: Sequence[Event]) -> list[Event]:
        """Returns the events for the client."""
        return [each for event in events for each in self._read(event)]

    def _read(self, event: Event) -> Iterator[Event]:
        if isinstance(event, TextDelta) and event.choice not in self._decided:
            begun = self._begun.setdefault(event.choice, _Begun())
            self.left_out += 1
            if not begun.add(event):
                yield from self._let_go(event.choice)
            return
        if isinstance(event, Failed):
            for choice in list(self._begun):
                yield from self._let_go(choice)
        elif not isinstance(event, Started | UsageReported | PassedOver | Logprobs):
            yield from self._let_go(event.choice, whole=isinstance(event, Finished))
        yield event

    def _let_go(self, choice: int, *, whole: bool = False) -> Iterator[Event]:
        """Yields what is held of a choice. Only of a `whole` text something is taken out."""
        begun = self._begun.pop(choice, None)
        if begun is None:
            return
        self._decided.add(choice)
        for piece in begun.bared() if whole else begun.pieces:
            self.left_out -= 1
            yield piece
