"""JSON that others wrote, read as far as it can be: what is not of the type it should be is left out, not an error.

A paid answer is worth more than any of its fields: a count that is a text, an id that is a number, half an emoji.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

from weebill.wire.errors import UNREADABLE

_BOM: Final = b"\xef\xbb\xbf"
# Escapes in a JSON text: both halves of a character beyond the basic plane, one of them alone, any other.
_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_MAX_DEPTH: Final = 16
_EMPTY: Final[dict[object, object]] = {str: "", int: 0, bool: False, list: []}

_decode_object: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_number: Final = msgspec.json.Decoder(float).decode

Read = TypeVar("Read", bound=Struct)


def whole_characters(data: bytes) -> bytes:
    r"""JSON with the replacement character for each half of a character that stands alone, which no UTF-8 can hold.

    >>> whole_characters(b'"a\\ud83d \\ud83d\\ude00 \\\\ud83d"')
    b'"a\\ufffd \\ud83d\\ude00 \\\\ud83d"'
    """
    if _HALF.search(data) is None:
        return data
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], data)


def reader(kind: type[Read]) -> Callable[[bytes], Read]:
    """A decoder of objects of that kind: as they should be, and else as far as they can be read.

    It raises what is in `UNREADABLE` for what is no JSON object.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(data: bytes) -> Read:
        try:
            return decode(data)
        except UNREADABLE:
            return cast("Read", _read(kind, whole_characters(bytes(data).removeprefix(_BOM)), 0))

    return read


class _Member(NamedTuple):
    decoder: msgspec.json.Decoder[object]
    required: bool
    kinds: tuple[object, ...]


@cache
def _members(kind: type[Struct]) -> dict[str, _Member]:
    return {
        field.encode_name: _Member(msgspec.json.Decoder(field.type), field.required, _kinds(field.type))
        for field in msgspec.structs.fields(kind)
    }


def _kinds(annotation: object) -> tuple[object, ...]:
    """What a value may be, list types whole."""
    return (annotation,) if get_origin(annotation) is list else get_args(annotation) or (annotation,)


def _read(kind: type[Struct], data: bytes, depth: int) -> Struct:
    names = {field.encode_name: field.name for field in msgspec.structs.fields(kind)}
    given: dict[str, object] = {}
    fields = _decode_object(data)
    for name, member in _members(kind).items():
        raw = fields.get(name)
        value = None if raw is None else _value(member, raw, depth)
        if value is not None:
            given[names[name]] = value
        elif member.required:
            given[names[name]] = next((_EMPTY[each] for each in member.kinds if each in _EMPTY), None)
    return kind(**given)


def _value(member: _Member, raw: Raw, depth: int) -> object:
    """The value of a member; None if it has none that can be read."""
    try:
        return member.decoder.decode(raw)
    except UNREADABLE:
        pass
    for kind in member.kinds:
        value = _converted(kind, raw, depth + 1)
        if value is not None:
            return value
    return None


def _converted(kind: object, raw: Raw, depth: int) -> object:
    text = bytes(raw)
    if text == b"null":
        return None
    try:
        if kind is int:
            number = _decode_number(_decode_text(raw) if text.startswith(b'"') else raw)
            return int(number) if math.isfinite(number) else None
        if kind is str and text[:1] not in b'"{[':
            return text.decode()
        if depth > _MAX_DEPTH:
            return None
        if isinstance(kind, type) and issubclass(kind, Struct) and text.startswith(b"{"):
            return _read(kind, text, depth)
        if get_origin(kind) is list and text.startswith(b"["):
            (inner,) = get_args(kind)
            each = _Member(msgspec.json.Decoder(inner), False, _kinds(inner))
            values = (_value(each, one, depth) for one in _decode_list(raw))
            return [value for value in values if value is not None]
    except UNREADABLE:
        return None
    return None
