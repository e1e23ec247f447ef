"""Halves of UTF-16's pairs that stand alone in JSON: escapes that no UTF-8 can hold, and that no reader of ours takes.

Clients cut texts between the two halves of an emoji, and models stop there.
"""

from __future__ import annotations

import codecs
import re
import time
from typing import Final

from weebill.wire.literals import BACKSLASH

# Every escape, so that an escaped backslash before a `u` is not taken for one; a pair is one escape here.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_ESCAPED: Final = b"\\u"
_SIGNS: Final = (b"\\ud", b"\\uD")
_REPLACEMENT: Final = b"\\ufffd"
_LONG: Final = 65_536
_STEP: Final = 10_000
_READ_AT_ONCE: Final = 1 << 20


def as_utf8(data: bytes) -> bytes:
    """Whole text, not cut within a character, as UTF-8 with U+FFFD for each sequence of bytes that is none.

    >>> as_utf8(b"a\\xffb").decode()
    'a\ufffdb'
    """
    if data.isascii():
        return data
    try:
        if len(data) < _LONG:
            data.decode()
        else:
            _read_in_steps(data)
    except UnicodeDecodeError:
        return data.decode(errors="replace").encode()
    return data


def _read_in_steps(data: bytes) -> None:
    """Raises UnicodeDecodeError for what is no UTF-8, with turns for other threads in between."""
    view = memoryview(data)
    read = codecs.getincrementaldecoder("utf-8")().decode
    for start in range(0, len(data), _READ_AT_ONCE):
        read(view[start : start + _READ_AT_ONCE])
        time.sleep(0)
    read(b"", final=True)


def mended(data: bytes) -> bytes:
    """JSON with U+FFFD for each half that stands alone.

    >>> mended(rb'["\\ud83d\\ude00", "\\ud83d", "\\\\ud83d"]')
    b'["\\\\ud83d\\\\ude00", "\\\\ufffd", "\\\\\\\\ud83d"]'
    """
    if len(data) >= _LONG:
        time.sleep(0)
    # The search for a single byte costs next to nothing, and often settles it.
    if BACKSLASH not in data or data.find(_ESCAPED) < 0:
        return data
    if data.find(_SIGNS[0]) < 0 and data.find(_SIGNS[1]) < 0:
        return data
    return _ESCAPE.sub(_whole, data) if len(data) < _LONG else _mended_in_steps(data)


def _mended_in_steps(data: bytes) -> bytes:
    """The same for what has millions of escapes, with turns for other threads in between."""
    out = bytearray()
    taken = 0
    for number, escape in enumerate(_ESCAPE.finditer(data)):
        if escape.group(1) is not None:
            out += data[taken : escape.start()]
            out += _REPLACEMENT
            taken = escape.end()
        if number % _STEP == 0:
            time.sleep(0)
    out += data[taken:]
    return bytes(out)


def _whole(escape: re.Match[bytes]) -> bytes:
    return escape.group() if escape.group(1) is None else _REPLACEMENT
