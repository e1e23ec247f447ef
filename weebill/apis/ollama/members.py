"""Objects of requests: members that are known must be of their type, unknown ones are set aside under their paths."""

from __future__ import annotations

from functools import cache
from typing import TypeVar, cast

import msgspec
from msgspec import Raw, Struct

from weebill.apis.anthropic.tolerant import SetAside
from weebill.wire.body import invalid_at
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object

Read = TypeVar("Read", bound=Struct)


@cache
def _decoder(kind: type[Struct]) -> msgspec.json.Decoder[Struct]:
    return msgspec.json.Decoder(kind)


def read(kind: type[Read], raw: Raw, path: str, aside: SetAside) -> Read:
    """The object at `path`. Raises ApiError 400 that names what is wrong."""
    known: Json = {}
    for name, value in object_at(raw, path).items():
        if name in kind.__struct_fields__:
            known[name] = value
        else:
            aside.add(f"{path}.{name}", value)
    try:
        return cast("Read", _decoder(kind).decode(msgspec.json.encode(known)))
    except UNREADABLE as error:
        raise invalid_at(error, path) from error


def object_at(raw: Raw, path: str) -> Json:
    """The members of an object. Raises ApiError 400 for anything else."""
    try:
        return decode_object(raw)
    except UNREADABLE as error:
        raise invalid_at(error, path) from error


def list_at(raw: Raw, path: str) -> list[Raw]:
    """The items of a list. Raises ApiError 400 for anything else."""
    try:
        return decode_list(raw)
    except UNREADABLE as error:
        raise invalid_at(error, path) from error
