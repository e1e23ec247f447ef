"""JSON that is not quite as its type says, read as far as it goes.

What comes from outside holds counts as text or with a fraction, numbers for names, lists where there was an object, and
nulls anywhere; most of that is in fields that nobody asks for. Here a value is turned into what its type wants where it
says the same, and left out where it does not: a member takes its default, an element is gone. Only who has failed to
decode in the ordinary way comes here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Final, TypeVar, cast

import msgspec
from msgspec import Raw, inspect

from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_list, decode_object
from weebill.wire.surrogates import mended

T = TypeVar("T")

BOM: Final = b"\xef\xbb\xbf"
_decode_any: Final = msgspec.json.Decoder().decode
_NULL: Final = Raw(b"null")


class _Unfit(Exception):  # noqa: N818 - never leaves this module
    """A value says nothing that its type could hold."""


def reader(kind: type[T], *, strict: bool = True) -> Callable[[bytes | Raw], T]:
    """A decoder of that kind: as it should be, and else as far as it can be read, members that must be there empty.

    `strict` as msgspec has it. It raises what is in `UNREADABLE` for what is no JSON object.
    """
    decode = msgspec.json.Decoder(kind, strict=strict).decode

    def read(data: bytes | Raw) -> T:
        try:
            return decode(data)
        except UNREADABLE:
            return leniently(bytes(data), kind, fill=True)

    return read


def leniently(data: bytes, kind: type[T], *, fill: bool = False) -> T:
    """Reads `data` as a `kind`. Raises what is in `UNREADABLE` if it is no JSON, or nothing of that kind.

    An object without a member that it must have is none, or, with `fill`, has an empty one.

    >>> leniently(b'["1", 2.0, {}, null]', list[int])
    [1, 2]
    """
    data = mended(data.removeprefix(BOM))
    if not data.isascii():
        data = data.decode(errors="replace").encode()
    try:
        value = _read(msgspec.json.decode(data, type=Raw), _shape(cast("Hashable", kind)), fill)
    except _Unfit as error:
        raise msgspec.ValidationError(str(error)) from error
    return cast("T", value)


@lru_cache(maxsize=256)
def _shape(kind: Hashable) -> inspect.Type:
    return inspect.type_info(kind)


def _read(raw: Raw, shape: inspect.Type, fill: bool) -> object:
    """Raises _Unfit."""
    if isinstance(shape, inspect.Metadata):
        return _read(raw, shape.type, fill)
    if isinstance(shape, inspect.UnionType):
        return _read_union(raw, shape, fill)
    read = _READERS.get(type(shape))
    if read is None:
        raise _Unfit(f"no {type(shape).__name__} can be read")
    return read(raw, shape, fill)


def _read_union(raw: Raw, shape: inspect.UnionType, fill: bool) -> object:
    first = bytes(raw)[:1]
    nullable = any(isinstance(each, inspect.NoneType) for each in shape.types)
    if first == b"n" and nullable:
        return None
    # What is of the very kind first, what can be turned into it after that.
    natural = _NATURAL.get(first, _NUMBERS)
    for each in sorted(shape.types, key=lambda each: not isinstance(each, natural)):
        if isinstance(each, inspect.NoneType):
            continue
        try:
            return _read(raw, each, fill)
        except _Unfit:
            continue
    if nullable:
        return None
    raise _Unfit(f"{_shown(raw)} is none of what is expected")


def _read_struct(raw: Raw, shape: inspect.StructType, fill: bool) -> object:
    fields = _fields(raw)
    if shape.tag is not None and _decode_any(fields.get(shape.tag_field or "", _NULL)) != shape.tag:
        raise _Unfit(f"not of type '{shape.tag}'")
    known: dict[str, object] = {}
    for field in shape.fields:
        value = fields.get(field.encode_name)
        if value is not None:
            try:
                known[field.name] = _read(value, field.type, fill)
                continue
            except _Unfit:
                pass
        if field.required:
            if not fill:
                raise _Unfit(f"`{field.encode_name}` is missing")
            known[field.name] = _empty(field.type)
    return shape.cls(**known)


def _empty(shape: inspect.Type) -> object:
    """The value that stands for a member that is not there. Raises _Unfit where none does."""
    shapes = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
    for each in shapes:
        make = _EMPTY.get(type(each))
        if make is not None:
            return make()
    raise _Unfit("a member is missing")


def _read_list(raw: Raw, shape: inspect.ListType, fill: bool) -> list[object]:
    return _elements(raw, shape.item_type, fill)


def _read_tuple(raw: Raw, shape: inspect.VarTupleType, fill: bool) -> tuple[object, ...]:
    return tuple(_elements(raw, shape.item_type, fill))


def _elements(raw: Raw, shape: inspect.Type, fill: bool) -> list[object]:
    if bytes(raw)[:1] != b"[":
        raise _Unfit(f"{_shown(raw)} is no list")
    found = []
    for each in decode_list(raw):
        try:
            found.append(_read(each, shape, fill))
        except _Unfit:
            continue
    return found


def _read_dict(raw: Raw, shape: inspect.DictType, fill: bool) -> dict[str, object]:
    found = {}
    for name, value in _fields(raw).items():
        try:
            found[name] = _read(value, shape.value_type, fill)
        except _Unfit:
            continue
    return found


def _read_text(raw: Raw, shape: inspect.StrType, fill: bool) -> str:
    first = bytes(raw)[:1]
    if first == b'"':
        return msgspec.json.decode(raw, type=str)
    if first in _NATURAL:
        raise _Unfit(f"{_shown(raw)} is no text")
    return bytes(raw).decode()


def _read_int(raw: Raw, shape: inspect.IntType, fill: bool) -> int:
    number = _number(raw)
    if not math.isfinite(number):
        raise _Unfit(f"{_shown(raw)} is no whole number")
    return int(number)


def _read_float(raw: Raw, shape: inspect.FloatType, fill: bool) -> float:
    return float(_number(raw))


def _read_bool(raw: Raw, shape: inspect.BoolType, fill: bool) -> bool:
    text = bytes(raw).strip(b'"').lower()
    if text not in (b"true", b"false"):
        raise _Unfit(f"{_shown(raw)} is neither true nor false")
    return text == b"true"


def _read_literal(raw: Raw, shape: inspect.LiteralType, fill: bool) -> object:
    value = _decode_any(raw)
    if value not in shape.values:
        raise _Unfit(f"{_shown(raw)} is none of {shape.values}")
    return value


def _read_raw(raw: Raw, shape: inspect.RawType, fill: bool) -> Raw:
    return Raw(bytes(raw))


def _read_any(raw: Raw, shape: inspect.Type, fill: bool) -> object:
    return _decode_any(raw)


def _read_none(raw: Raw, shape: inspect.Type, fill: bool) -> None:
    if bytes(raw) != b"null":
        raise _Unfit(f"{_shown(raw)} is not null")


def _fields(raw: Raw) -> dict[str, Raw]:
    if bytes(raw)[:1] != b"{":
        raise _Unfit(f"{_shown(raw)} is no object")
    return decode_object(raw)


def _number(raw: Raw) -> int | float:
    try:
        value = _decode_any(raw)
        if isinstance(value, str):
            return float(value)
    except ValueError as error:  # msgspec's own for those out of range among them
        raise _Unfit(f"{_shown(raw)} is no number") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unfit(f"{_shown(raw)} is no number")
    return value


def _shown(raw: Raw) -> str:
    return f"`{bytes(raw)[:40].decode(errors='replace')}`"


_NUMBERS: Final = (inspect.IntType, inspect.FloatType)
# What a value is, by how it begins; anything else begins a number.
_NATURAL: Final[dict[bytes, tuple[type[inspect.Type], ...]]] = {
    b"{": (inspect.StructType, inspect.DictType, inspect.RawType),
    b"[": (inspect.ListType, inspect.VarTupleType, inspect.RawType),
    b'"': (inspect.StrType, inspect.LiteralType),
    b"t": (inspect.BoolType,),
    b"f": (inspect.BoolType,),
    b"n": (inspect.NoneType,),
}
_EMPTY: Final[dict[type[inspect.Type], Callable[[], object]]] = {
    inspect.StrType: str,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.BoolType: bool,
    inspect.ListType: list,
    inspect.DictType: dict,
    inspect.NoneType: lambda: None,
}
_READERS: Final[dict[type[inspect.Type], Callable[..., object]]] = {
    inspect.StructType: _read_struct,
    inspect.ListType: _read_list,
    inspect.VarTupleType: _read_tuple,
    inspect.DictType: _read_dict,
    inspect.StrType: _read_text,
    inspect.IntType: _read_int,
    inspect.FloatType: _read_float,
    inspect.BoolType: _read_bool,
    inspect.LiteralType: _read_literal,
    inspect.RawType: _read_raw,
    inspect.AnyType: _read_any,
    inspect.NoneType: _read_none,
}
