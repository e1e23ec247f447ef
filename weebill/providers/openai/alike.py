"""The chunks of a stream that differ in their text alone, as nearly all do: what was found out of one holds for all.

A chunk is what comes before its text, the text, and what comes after; OpenAI pads it with one more text of random
length. Data that has these, as often each, and no other quote holds nothing else: inside a JSON text a quote is
always escaped.
"""

from __future__ import annotations

from typing import Final

from weebill.wire.literals import BACKSLASH, LF, QUOTE

# How the text begins, which may be reasoning, or a completion's.
_TEXTS: Final = tuple(
    [
        b'"%b":%b"' % (name, space)
        for name in (b"content", b"reasoning_content", b"reasoning", b"text")
        for space in (b"", b" ")
    ]
)
_PADDINGS: Final = (b'"obfuscation":"', b'"obfuscation": "')
_QUOTE: Final = b'"'
_END: Final = b"\n\n"
_LINE_END: Final = b"\n"
# How often in a row it is worthwhile to look for what is alike.
_MAX_MISSES: Final = 8


class Alike:
    """The bytes that the events of one stream have in common, as they came and as they go out."""

    __slots__ = (
        "_after", "_before", "_ends_same", "_goes_after", "_goes_before", "_goes_between", "_goes_middle", "_middle",
        "_misses", "_same", "count",
    )  # fmt: skip

    def __init__(self) -> None:
        self._before = self._goes_before = b""
        self._middle = self._goes_middle = b""
        self._after = self._goes_after = b""
        self._goes_between = b""  # the end of one and the beginning of the next
        self._same = self._ends_same = True  # all of them, or all but how they begin
        self._misses = 0
        self.count = 0
        """The number of events in the last data that `passed`."""

    def passed(self, data: bytes) -> bytes:
        """Whole events as they go out; b"" where they are not all alike, or hold an escape, and are to be read."""
        before, after = self._before, self._after
        fixed = len(before) + len(after)
        if not before or len(data) < fixed or not data.startswith(before) or not data.endswith(after):
            return b""
        said = data[len(before) : len(data) - len(after)]
        pieces = [said] if LF not in said else self._pieces(data)
        count = len(pieces)
        if count != 1:
            said = b"".join(pieces)
        middle = self._middle
        if middle:
            if said.count(middle) != count:
                return b""
            said = said.replace(middle, b"")
        if not count or QUOTE in said or BACKSLASH in said:
            return b""
        self._misses = 0
        self.count = count
        if self._same:
            return data
        if count == 1 and self._ends_same:
            return self._goes_before + data[len(before) :]
        written = b"%b%b%b" % (self._goes_before, self._goes_between.join(pieces), self._goes_after)
        return written.replace(middle, self._goes_middle) if middle is not self._goes_middle else written

    def _pieces(self, data: bytes) -> list[bytes]:
        """The texts of several events; nothing where one is not like the others."""
        before, after = self._before, self._after[:-2]
        start, fixed = len(before), len(before) + len(after)
        pieces: list[bytes] = []
        # Lines are found faster than what stands between two texts.
        lines = data.split(_LINE_END)
        for at in range(0, len(lines) - 1, 2):
            line = lines[at]
            if lines[at + 1] or len(line) < fixed or not line.startswith(before) or not line.endswith(after):
                return []
            pieces.append(line[start : len(line) - len(after)])
        return pieces

    def learn(self, came: bytes, goes: bytes) -> None:
        """One event as it came and as it goes out, without the blank line, which says nothing but its text."""
        self._before = b""
        if self._misses >= _MAX_MISSES:
            return
        self._misses += 1
        ours, theirs = _parts(came), _parts(goes)
        # What is the same in both is the text, and the padding.
        if not ours or len(ours) != len(theirs) or ours[1::2] != theirs[1::2] or BACKSLASH in came:
            return
        fixed, written = ours[::2], theirs[::2]
        self._before, self._goes_before = fixed[0], written[0]
        self._after, self._goes_after = fixed[-1] + _END, written[-1] + _END
        self._goes_between = self._goes_after + self._goes_before
        self._middle = self._goes_middle = b""
        if len(fixed) > 2:
            self._middle = fixed[1]
            self._goes_middle = fixed[1] if written[1] == fixed[1] else written[1]
        self._same = fixed == written
        self._ends_same = fixed[1:] == written[1:]


def _parts(event: bytes) -> list[bytes]:
    """Splits an event into before its text, the text, and after it; likewise for a padding. Empty without a text."""
    start = _after_any(event, _TEXTS, 0)
    if start < 0:
        return []
    end = event.find(_QUOTE, start)
    padding = _after_any(event, _PADDINGS, end)
    if padding < 0:
        return [event[:start], event[start:end], event[end:]]
    padded = event.find(_QUOTE, padding)
    return [event[:start], event[start:end], event[end:padding], event[padding:padded], event[padded:]]


def _after_any(event: bytes, literals: tuple[bytes, ...], start: int) -> int:
    """The end of the first of the literals that is there, with anything before its closing quote; -1 if none is."""
    for literal in literals:
        at = event.find(literal, start)
        if at >= 0:
            at += len(literal)
            if event[at : at + 1] != _QUOTE:
                return at
    return -1


def before_last(data: bytes, count: int) -> int:
    """The position at which the last `count` of some whole events begin; 0 if there are no more."""
    at = len(data) - 2
    for _ in range(count):
        at = data.rfind(_END, 0, at)
        if at < 0:
            return 0
    return at + 2


def last_event(data: bytes) -> bytes:
    """The last of some whole events, without its blank line."""
    return data[:-2].rpartition(_END)[2]
