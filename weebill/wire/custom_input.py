"""Turns a custom tool's input, text of any form, into a function's arguments and back: whole, or as they come."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_object, decode_text

PARAMETERS: Final = Raw(
    b'{"type":"object","properties":{"input":{"type":"string","description":"The whole input, as plain text"}},'
    b'"required":["input"],"additionalProperties":false}'
)
"""The parameters of such a function."""
BEGINNING: Final = '{"input":"'
END: Final = '"}'
"""The beginning and the end of such arguments; between them is the text as JSON has it inside quotes."""
_encode: Final = msgspec.json.encode


def told(description: str | None, syntax: str | None, definition: str | None) -> str | None:
    """The description of such a function, with the grammar that its input must follow, if any."""
    if not definition:
        return description
    rule = f"The input must follow this {syntax or 'formal'} grammar:\n{definition}"
    return f"{description}\n\n{rule}" if description else rule


def wrapped(given: str) -> str:
    """A custom tool's input as a function's arguments.

    >>> wrapped("ls"), unwrapped('{"input":"ls"}')
    ('{"input":"ls"}', 'ls')
    """
    return f"{BEGINNING}{inner(given)}{END}"


def inner(given: str) -> str:
    """A piece of the text, as it stands in the arguments."""
    return _encode(given).decode()[1:-1]


def unwrapped(arguments: str) -> str:
    """The input in a function's arguments: that member's text, or the only one's; without either, they themselves.

    >>> unwrapped('{"patch":"b"}'), unwrapped("c"), unwrapped('{"x":1}'), unwrapped('{"input":"cut')
    ('b', 'c', '{"x":1}', 'cut')
    """
    reader = InputReader()
    return reader.feed(arguments) + reader.close()


_UNKNOWN, _TEXT, _BARE, _HELD, _OVER = range(5)
_START: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')
# How far the text may be from the beginning of the arguments.
_LONGEST_START: Final = 64
_SPECIAL: Final = re.compile(r'["\\]')
_ESCAPE: Final = re.compile(
    r"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|u(?P<code>[0-9a-fA-F]{4})|(?P<short>[^u]))",
    re.DOTALL,
)
# An escape that what comes next may be a part of.
_BEGUN: Final = re.compile(
    r"\\(?:u[0-9a-fA-F]{0,3}|u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?"
)
_SHORT: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


class InputReader:
    """Reads the input out of a function's arguments as they come; no more is kept than half an escape.

    Only arguments of another form are kept: what they come to is known at their end.
    """

    __slots__ = ("_held", "_mode", "_rest")

    def __init__(self) -> None:
        self._mode = _UNKNOWN
        self._rest = ""
        self._held: list[str] = []

    def feed(self, piece: str) -> str:
        """The part of the input that a further piece of the arguments completes."""
        if self._mode == _UNKNOWN:
            piece = self._begin(self._rest + piece)
        if self._mode == _TEXT:
            return self._unescaped(self._rest + piece)
        if self._mode == _HELD:
            self._held.append(piece)
        return piece if self._mode == _BARE else ""

    def close(self) -> str:
        """The rest of the input once all has come, without an escape that was cut."""
        return _of_other_form(self._rest + "".join(self._held)) if self._mode in (_UNKNOWN, _HELD) else ""

    def _begin(self, arguments: str) -> str:
        """Find out which form the arguments have; what is left to be read of them."""
        bare = arguments.lstrip()
        start = _START.match(arguments)
        self._rest = ""
        if start is not None:
            self._mode = _TEXT
            return arguments[start.end() :]
        if bare and not bare.startswith("{"):
            self._mode = _BARE
        elif len(arguments) > _LONGEST_START:
            self._mode = _HELD
        else:
            self._rest = arguments
            return ""
        return arguments

    def _unescaped(self, quoted: str) -> str:
        """Text out of what stands inside quotes, as far as it is certain. What is no escape stands for itself."""
        self._rest = ""
        said: list[str] = []
        at = 0
        while (special := _SPECIAL.search(quoted, at)) is not None:
            here = special.start()
            said.append(quoted[at:here])
            if quoted[here] == '"':
                self._mode = _OVER
                return "".join(said)
            if _BEGUN.fullmatch(quoted, here) is not None:
                self._rest = quoted[here:]
                return "".join(said)
            escape = _ESCAPE.match(quoted, here)
            said.append("\\" if escape is None else _character(escape))
            at = here + 1 if escape is None else escape.end()
        said.append(quoted[at:])
        return "".join(said)


def _character(escape: re.Match[str]) -> str:
    """The character that an escape stands for; a surrogate alone stands for none."""
    high, low, code, short = escape.group("high", "low", "code", "short")
    if short is not None:
        return _SHORT.get(short, short)
    if high is not None:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    number = int(code, 16)
    return "\ufffd" if 0xD800 <= number < 0xE000 else chr(number)


def _of_other_form(arguments: str) -> str:
    """The input in arguments that do not begin with it."""
    try:
        members = decode_object(arguments.encode(errors="replace"))
    except UNREADABLE:
        return arguments
    texts = [members["input"]] if "input" in members else list(members.values())
    if len(texts) != 1 or bytes(texts[0])[:1] != b'"':
        return arguments if members else ""
    return decode_text(texts[0])
