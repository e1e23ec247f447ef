"""From the pattern of a JSON schema to an expression of a grammar: what is regular in ECMAScript's patterns.

A pattern holds anywhere in a text unless it says `^` and `$` at its ends; in between, they are refused. A character of
it is a character of the text, not of the JSON that it is written in, so quotes and backslashes are written with one
more.
"""

from __future__ import annotations

import re
from typing import Final

# Characters of a class, as pairs of the first and the last one.
_Ranges = list[tuple[int, int]]
_LAST: Final = 0x10FFFF
_CLASSES: Final[dict[str, _Ranges]] = {
    "d": [(0x30, 0x39)],
    "w": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
    # ECMAScript's white space and ends of lines (https://tc39.es/ecma262/#sec-white-space): all of it, so that `\S` has
    # none of it.
    "s": [
        *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
        *((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
    ],
}
_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_REPEAT: Final = re.compile(r"([*+?])|\{(\d+)(?:(,)(\d*))?\}")
_HEX: Final = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})")
# Around one that does not begin or end where the text does.
_ROUND: Final = "char{0,40}"
_DEEPEST: Final = 50
_MOST_TIMES: Final = 100
# Beside a repeat without an end, which may end at each of these.
_MOST_COUNTED: Final = 20
# What JSON does not have within quotes as it is.
_NOT_PLAIN: Final[_Ranges] = [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)]


class PatternError(Exception):
    """A pattern that no expression is made of; completes "the pattern, which"."""


def pattern_expression(pattern: str) -> str:
    """Returns the expression of the texts that a pattern holds for. It uses the rule `char`. Raises PatternError."""
    reader = _Reader(pattern)
    found = reader.alternatives(0)
    if reader.at < len(pattern):
        raise PatternError("closes a group that is not open")
    if reader.endless and (reader.is_open or reader.counted > _MOST_COUNTED):
        raise PatternError("can be met in too many ways: begin it with '^', end it with '$', and count less")
    return found


class _Reader:
    """A pattern and how far it has been read."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.at = 0
        self.endless = 0
        """The number of repeats without an end."""
        self.counted = 0
        """The most that the other repeats allow, in all."""
        self.is_open = False
        """True if texts may begin before the pattern, or go on after it."""

    def alternatives(self, depth: int) -> str:
        """Reads up to the end of a group, or of the pattern."""
        if depth > _DEEPEST:
            raise PatternError("is nested too deeply")
        ways = [self._sequence(depth)]
        while self._next() == "|":
            self.at += 1
            ways.append(self._sequence(depth))
        return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"

    def _sequence(self, depth: int) -> str:
        begins, ends = False, False
        parts: list[str] = []
        if self._next() == "^":
            self._at_outermost(depth)
            self.at += 1
            begins = True
        while (sign := self._next()) and sign not in "|)":
            if ends:
                raise PatternError("has a '$' that is not at its end")
            if sign == "$":
                self._at_outermost(depth)
                self.at += 1
                ends = True
            else:
                before = self.endless
                atom = self._atom(depth)
                parts.append(self._repeated(atom, self.endless > before))
        if depth == 0:
            self.is_open = self.is_open or not (begins and ends)
            parts = [*([] if begins else [_ROUND]), *parts, *([] if ends else [_ROUND])]
        return f"({' '.join(parts)})" if parts else '""'

    def _at_outermost(self, depth: int) -> None:
        if depth:
            raise PatternError(f"has a '{self._next()}' in a group")

    def _atom(self, depth: int) -> str:
        sign = self._next()
        self.at += 1
        match sign:
            case "(":
                return self._group(depth)
            case "[":
                return _class(*self._class())
            case ".":
                return _class([(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)], True)
            case "\\":
                return _class(*self._escape())
            case "*" | "+" | "?" | "{" | "^":
                raise PatternError(f"has a '{sign}' where nothing is to be repeated")
        return _class([(ord(sign), ord(sign))], False)

    def _group(self, depth: int) -> str:
        if self._next() == "?":
            if not self._pattern.startswith("?:", self.at):
                raise PatternError("looks ahead or back, or names a group")
            self.at += 2
        found = self.alternatives(depth + 1)
        if self._next() != ")":
            raise PatternError("has a group that is not closed")
        self.at += 1
        return f"({found})"

    def _repeated(self, atom: str, has_endless: bool) -> str:
        found = _REPEAT.match(self._pattern, self.at)
        if found is None:
            return atom
        self.at = found.end()
        if self._next() == "?":  # as few as possible, which are the same texts
            self.at += 1
        is_endless = found[1] in ("*", "+") or (found[3] is not None and not found[4])
        if is_endless and has_endless:
            raise PatternError("repeats a repeat")
        self.endless += is_endless
        if found[1]:
            return f"{atom}{found[1]}"
        low = int(found[2])
        high = low if found[3] is None else int(found[4]) if found[4] else None
        if max(low, high or 0) > _MOST_TIMES or (high is not None and high < low):
            raise PatternError("repeats too often, or less than not at all")
        self.counted += high or low
        return f"{atom}{{{low},{'' if high is None else high}}}"

    def _class(self) -> tuple[_Ranges, bool]:
        """Reads the rest of a class; returns its ranges, and True if it is all but these."""
        negated = self._next() == "^"
        self.at += negated
        ranges: _Ranges = []
        while (sign := self._next()) != "]":
            if not sign:
                raise PatternError("has a class that is not closed")
            first = self._of_class()
            if self._next() == "-" and self._pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                last = self._of_class()
                if len(first) != 1 or len(last) != 1 or first[0][0] > last[0][1]:
                    raise PatternError("has a range that is none")
                ranges.append((first[0][0], last[0][1]))
            else:
                ranges += first
        self.at += 1
        return ranges, negated

    def _of_class(self) -> _Ranges:
        sign = self._next()
        self.at += 1
        if sign != "\\":
            return [(ord(sign), ord(sign))]
        ranges, negated = self._escape()
        return _all_but(ranges) if negated else ranges

    def _escape(self) -> tuple[_Ranges, bool]:
        sign = self._next()
        if found := _HEX.match(self._pattern, self.at):
            self.at = found.end()
            code = int(found[1] or found[2], 16)
            return [(code, code)], False
        self.at += 1
        if sign.lower() in _CLASSES:
            return _CLASSES[sign.lower()], sign.isupper()
        if sign in _CONTROLS:
            code = ord(_CONTROLS[sign])
            return [(code, code)], False
        if not sign or sign.isalnum():
            raise PatternError(f"has an escape '\\{sign}' that is not served")
        return [(ord(sign), ord(sign))], False

    def _next(self) -> str:
        return self._pattern[self.at : self.at + 1]


def _class(ranges: _Ranges, negated: bool) -> str:
    """Returns the expression of one character, as JSON writes it within quotes."""
    meant = _all_but(ranges) if negated else ranges
    plain = _without(meant, _NOT_PLAIN)
    ways = ["".join(["[", *map(_range, plain), "]"])] if plain else []
    if not negated:
        # Of a class that leaves out some, those that JSON must escape are left out as well.
        ways += [
            f'"{_escaped(sign)}"' for sign in '"\\\t\n\r\f' if any(low <= ord(sign) <= high for low, high in meant)
        ]
    if not ways:
        raise PatternError("has a class of no characters")
    return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"


def _escaped(sign: str) -> str:
    """Returns how a character is written in JSON, as it is written in a grammar."""
    return {'"': '\\\\\\"', "\\": "\\\\\\\\", "\t": "\\\\t", "\n": "\\\\n", "\r": "\\\\r", "\f": "\\\\f"}[sign]


def _range(found: tuple[int, int]) -> str:
    low, high = found
    return _code(low) if low == high else f"{_code(low)}-{_code(high)}"


def _code(code: int) -> str:
    return (
        chr(code)
        if chr(code).isascii() and chr(code).isalnum()
        else f"\\U{code:08x}"
        if code > 0xFFFF
        else f"\\u{code:04x}"
    )


def _all_but(ranges: _Ranges) -> _Ranges:
    return _without([(0, 0xD7FF), (0xE000, _LAST)], ranges)


def _without(ranges: _Ranges, taken: _Ranges) -> _Ranges:
    left = ranges
    for low, high in taken:
        left = [
            part
            for first, last in left
            for part in ((first, min(last, low - 1)), (max(first, high + 1), last))
            if part[0] <= part[1]
        ]
    return left
