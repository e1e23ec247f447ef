"""What a custom tool is given, text of any form, as a function's arguments, and back."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from weebill.wire.errors import UNREADABLE


class _Wrapped(Struct, frozen=True):
    input: str


BEGINNING: Final = '{"input":"'
END: Final = '"}'
"""What such arguments begin and end with; between them is the text as JSON has it inside quotes."""
_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder(_Wrapped).decode


def wrapped(given: str) -> str:
    """A custom tool's input as a function's arguments.

    >>> wrapped("ls"), unwrapped('{"input":"ls"}'), unwrapped("ls")
    ('{"input":"ls"}', 'ls', 'ls')
    """
    return f"{BEGINNING}{inner(given)}{END}"


def inner(given: str) -> str:
    """A piece of the text, as it stands in the arguments."""
    return _encode(given).decode()[1:-1]


def unwrapped(arguments: str) -> str:
    """The input in a function's arguments; they themselves where a model did not keep to their form."""
    try:
        return _decode(arguments).input
    except UNREADABLE:
        return arguments
