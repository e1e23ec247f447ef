"""Counts that a client writes with a fraction of nought, such as `10.0`: whole numbers.

Languages that know one kind of number write them so. Only a body, or a member, that did not decode comes here.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Final, cast

import msgspec
from msgspec import Raw, Struct, inspect

from weebill.wire.errors import UNREADABLE
from weebill.wire.json_values import decode_object

# All whole numbers up to here have a float of their own.
_MOST: Final = 2**53
_decode_any: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.encode


def whole(raw: Raw) -> Raw | None:
    """A number without its fraction of nought; None for any other value.

    >>> whole(Raw(b"10.0")), whole(Raw(b"1e3")), whole(Raw(b"10.5")), whole(Raw(b"10"))
    (b'10', b'1000', None, None)
    """
    try:
        value = _decode_any(raw)
    except UNREADABLE:
        return None
    if not isinstance(value, float) or not value.is_integer() or abs(value) > _MOST:
        return None
    return Raw(b"%d" % int(value))


def with_whole_numbers(body: bytes, kind: type[Struct]) -> bytes | None:
    """`body` with whole numbers where `kind` has them, and all else byte for byte; None if there is nothing to mend."""
    try:
        fields = decode_object(body)
    except UNREADABLE:
        return None
    mended = {name: number for name in _counts(kind) if name in fields and (number := whole(fields[name])) is not None}
    return _encode({**fields, **mended}) if mended else None


@lru_cache(maxsize=64)
def _counts(kind: Hashable) -> frozenset[str]:
    """The members of `kind` that hold whole numbers, but none with a fraction."""
    found = cast("inspect.StructType", inspect.type_info(kind))
    return frozenset([field.encode_name for field in found.fields if _is_count(field.type)])


def _is_count(shape: inspect.Type) -> bool:
    shapes = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
    kinds = {type(each.type if isinstance(each, inspect.Metadata) else each) for each in shapes}
    return inspect.IntType in kinds and inspect.FloatType not in kinds
