"""What an upstream sent, read without the members that are not what they should be.

Providers add members, and give known ones other types: a count as a list, a reason as a number. An answer that was paid
for is not lost for the sake of a member that nobody needs: what does not fit is left out, and the rest is read.
"""

from __future__ import annotations

import re
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Raw

T_co = TypeVar("T_co", covariant=True)

BOM: Final = b"\xef\xbb\xbf"
_MAX_LEFT_OUT: Final = 64
_PATH: Final = re.compile(r" - at `\$(.*)`$")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
# One half of a pair that stands for a character beyond 16 bits. An escaped backslash may come before.
_SURROGATE: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_decode_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items: Final = msgspec.json.Decoder(list[Raw]).decode
_encode: Final = msgspec.json.encode


class Reader(Protocol[T_co]):
    """A decoder's `decode`."""

    def __call__(self, data: bytes, /) -> T_co: ...


def lenient(decode: Reader[T_co], data: bytes) -> T_co:
    """What `decode` reads in `data`. Raises msgspec.DecodeError where nothing that is left out helps.

    >>> class Point(msgspec.Struct):
    ...     x: int = 0
    ...     y: int = 0
    >>> lenient(msgspec.json.Decoder(Point).decode, b'{"x": 1, "y": {"z": 2}}')
    Point(x=1, y=0)
    """
    data = data.removeprefix(BOM)
    for _ in range(_MAX_LEFT_OUT):
        try:
            return decode(data)
        except msgspec.ValidationError as error:
            path = _PATH.search(str(error))
            steps = [] if path is None else _STEP.findall(path.group(1))
            if path is None or not steps or "".join(map(_written, steps)) != path.group(1):
                raise
            data = _without(data, steps)
        except msgspec.DecodeError:
            whole = whole_characters(data)
            if whole == data:
                raise
            data = whole
    return decode(data)


def whole_characters(data: bytes) -> bytes:
    r"""JSON with halves of surrogate pairs replaced, which UTF-8 has no place for.

    >>> whole_characters(rb'["\ud83d\ude00", "\ud83d", "\\ud83d"]')
    b'["\\ud83d\\ude00", "\\ufffd", "\\\\ud83d"]'
    """
    return _SURROGATE.sub(lambda found: found[0] if found[2] else found[1] + rb"\ufffd", data)


def _written(step: tuple[str, str]) -> str:
    name, index = step
    return f".{name}" if name else f"[{index}]"


def _without(data: bytes, steps: list[tuple[str, str]]) -> bytes:
    """`data` without what is at the end of `steps`; what is beside the way keeps every byte."""
    (name, index), *further = steps
    if name:
        fields = _decode_fields(data)
        inner = fields.pop(name)
        if further:
            fields[name] = Raw(_without(bytes(inner), further))
        return _encode(fields)
    items = _decode_items(data)
    inner = items.pop(int(index))
    if further:
        items.insert(int(index), Raw(_without(bytes(inner), further)))
    return _encode(items)
