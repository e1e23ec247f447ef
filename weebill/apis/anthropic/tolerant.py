"""Objects of requests, read as far as they are understood: what is not is set aside under its path, not refused.

Structs say what is understood. An object that holds nothing else is decoded in one go; only another is looked into
member by member.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple, TypeVar, cast, get_args

import msgspec
from msgspec import Raw, Struct

from weebill.apis.anthropic.request_shapes import Typed
from weebill.wire.body import invalid_at
from weebill.wire.errors import UNREADABLE, ApiError, missing_parameter
from weebill.wire.idle import asks_nothing
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.whole_numbers import whole

_INDEX: Final = re.compile(r"\[\d+\]")
_MOST_KINDS: Final = 24
_AND_MORE: Final = "and more"
_NO_MEMBERS: Final[Mapping[str, Raw]] = {}


Read = TypeVar("Read", bound=Struct)


class SetAside:
    """Gathers by path what has no place in canonical form: of each kind the first, of many kinds some."""

    def __init__(self) -> None:
        self.found: Json = {}
        self._kinds: set[str] = set()

    def add(self, path: str, value: Raw) -> None:
        """Sets `value` aside unless it asks for nothing."""
        kind = _INDEX.sub("[]", path)
        if kind in self._kinds or asks_nothing(path, value):
            return
        if len(self._kinds) >= _MOST_KINDS:
            self.found[_AND_MORE] = value
            return
        self._kinds.add(kind)
        self.found[path] = value


class _Member(NamedTuple):
    """A member that is understood: `nested` are the structs that its value may be."""

    decoder: msgspec.json.Decoder[object]
    required: bool
    nested: tuple[type[Struct], ...]


@cache
def _members(kind: type[Struct]) -> dict[str, _Member]:
    found = {}
    for field in msgspec.structs.fields(kind):
        choices = get_args(field.type) or (field.type,)
        nested = tuple(each for each in choices if isinstance(each, type) and issubclass(each, Struct))
        found[field.encode_name] = _Member(msgspec.json.Decoder(field.type), field.required, nested)
    return found


@cache
def _decoder(kind: type[Struct]) -> msgspec.json.Decoder[Struct]:
    return msgspec.json.Decoder(kind)


def read(kind: type[Read], raw: Raw, path: str, aside: SetAside, *, absent: Mapping[str, Raw] = _NO_MEMBERS) -> Read:
    """The object at `path`. `absent` are the members to be read where they are missing or null.

    Raises ApiError 400 where it is no object, or a member that has no default is missing or of another type.
    """
    try:
        return cast("Read", _decoder(kind).decode(raw))
    except UNREADABLE:
        pass
    try:
        fields = decode_object(raw)
    except UNREADABLE as error:
        raise invalid_at(error, path) from error
    for name, value in absent.items():
        if bytes(fields.get(name, b"null")) == b"null":
            fields[name] = value
    tag = kind.__struct_config__.tag_field
    members = _members(kind)
    given: dict[str, object] = {}
    for name, value in fields.items():
        member = members.get(name)
        where = f"{path}.{name}"
        if member is None:
            if name != tag:
                aside.add(where, value)
            continue
        try:
            given[name] = _read_member(member, value, where, aside)
        except ApiError:
            if member.required:
                raise
            aside.add(where, value)
    for name, member in members.items():
        if member.required and name not in given:
            raise missing_parameter(f"{path}.{name}")
    return kind(**given)


def _read_member(member: _Member, raw: Raw, path: str, aside: SetAside) -> object:
    try:
        return member.decoder.decode(raw)
    except UNREADABLE as error:
        number = whole(raw)
        if number is not None:
            return _read_member(member, number, path, aside)
        nested = _chosen(member.nested, raw)
        if nested is None or not bytes(raw).startswith(b"{"):
            raise invalid_at(error, path) from error
    return read(nested, raw, path, aside)


def _chosen(nested: tuple[type[Struct], ...], raw: Raw) -> type[Struct] | None:
    """Of the structs that a value may be, the one that its tag names."""
    if len(nested) < 2:
        return nested[0] if nested else None
    tag = type_of(raw)
    return next((each for each in nested if each.__struct_config__.tag == tag), None)


_decode_typed: Final = msgspec.json.Decoder(Typed).decode


def type_of(raw: Raw) -> str:
    """The `type` of an object, "" if it has none."""
    try:
        return _decode_typed(raw).type
    except UNREADABLE:
        return ""
