"""Keeps what was told of a streamed answer, and finds what the whole of a text, a call or a response adds.

Not every server sends all of a text or of a call's arguments in pieces: some leave the last out, some send none.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from weebill.providers.responses.body import ResponseBody
from weebill.wire.arguments import NO_ARGUMENTS, made_arguments
from weebill.wire.conversation import Image, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.reply import (
    CitationAdded,
    Event,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArguments,
    ToolStarted,
    WholePart,
)
from weebill.wire.responses import ORIGIN
from weebill.wire.responses_calls import made_call
from weebill.wire.responses_items import decode_item, is_object, list_of
from weebill.wire.responses_shapes import InputItem

# Texts are few, and all that are kept are looked through at the end of each.
_MOST_TEXTS: Final = 64


class ToldTexts:
    """The pieces of the last texts that were told, by where each is: its output index and its content index."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: dict[tuple[int, int], list[str]] = {}

    def add(self, at: tuple[int, int], text: str) -> None:
        """Take note of a piece."""
        pieces = self._pieces.get(at)
        if pieces is None:
            if len(self._pieces) >= _MOST_TEXTS:
                del self._pieces[next(iter(self._pieces))]
            self._pieces[at] = [text]
        else:
            pieces.append(text)

    def any(self) -> bool:
        """True once anything was told."""
        return bool(self._pieces)

    def rest(self, text: str | None, begun: bool) -> str:
        """The part of a whole text that was not told yet; `begun` is whether something of its item was.

        It is sought among all texts: not every server says right where one is.
        """
        if not text:
            return ""
        told = []
        for pieces in self._pieces.values():
            pieces[:] = ["".join(pieces)]
            told += pieces
        if any(text in each for each in told):
            return ""
        start = max((each for each in told if text.startswith(each)), key=len, default="")
        return text[len(start) :] if start or not begun else ""


class ToldArguments:
    """The pieces of a call's arguments that were told; null, which some models say for none, is not."""

    __slots__ = ("_held", "pieces")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._held = ""

    def add(self, piece: str) -> str:
        """Takes one more piece; what is to be told with it."""
        held = self._held + piece
        if not self.pieces and "null".startswith(held.strip()):
            self._held = held
            return ""
        self._held = ""
        self.pieces.append(held)
        return held

    def rest(self, arguments: str) -> str:
        """The rest of all arguments, which the pieces did not say."""
        told, whole = "".join(self.pieces), made_arguments(arguments)
        rest = whole[len(told) :] if whole.startswith(told) else ""
        if rest:
            self.pieces.append(rest)
        return rest


def arguments_in(response: ResponseBody, call: str) -> str:
    """The arguments that a whole response has for a call."""
    for raw in list_of(response.output):
        item, kind = item_of(raw)
        if kind == "function_call" and (item.call_id or item.id or "") == call:
            return made_call(item, kind).arguments
    return NO_ARGUMENTS


def item_of(raw: Raw) -> tuple[InputItem, str]:
    """An item and its type; "" for none."""
    if not is_object(raw):
        return InputItem(), ""
    item = decode_item(raw)
    return item, item.type or ""


def events_of_part(part: Part, block: int) -> list[Event]:
    """The events that tell of a part as a whole."""
    match part:
        case Text():
            return [TextDelta(part.text, block), *[CitationAdded(cited, block) for cited in part.citations]]
        case Refusal():
            return [RefusalDelta(part.text, block)]
        case ToolUse():
            return [ToolStarted(part.id, part.name, block), ToolArguments(part.arguments, block)]
        case Reasoning():
            return [ReasoningDelta(part.text, None, part.encrypted, part.id, ORIGIN, block)]
        case Image():
            return [WholePart(part, block)]
        case _:
            return []
