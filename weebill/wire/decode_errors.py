"""The text that msgspec gives an error: what is wrong, and where."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_PLACE: Final = re.compile(r" - at `(?:key` in `)?\$\.?(.*)`$")


def reason_and_path(text: str) -> tuple[str, str]:
    """The fault, and the path of the value, "" for the whole.

    >>> reason_and_path("Expected `str`, got `int` - at `$.messages[0].role`")
    ('Expected `str`, got `int`', 'messages[0].role')
    """
    place = _PLACE.search(text)
    return (text, "") if place is None else (text[: place.start()], place[1])


def placed(error: Exception, path: str) -> msgspec.ValidationError:
    """The error of a part that stands at `path` of a whole, as the whole's; that of all of the part has no path."""
    text = str(error)
    return msgspec.ValidationError(text.replace("`$", f"`$.{path}", 1) if "`$" in text else f"{text} - at `$.{path}`")
