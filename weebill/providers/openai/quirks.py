"""Renames and leaves out fields of a request, as providers of OpenAI's dialect need it.

The relay applies it to what a client sent, the dialect to what it wrote itself.
"""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from weebill.providers import identifiers
from weebill.providers.base import Quirks
from weebill.providers.fit import Fit
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.literals import EMPTY

_Value = TypeVar("_Value")
# What the gateway puts in where the provider takes it.
_OURS: Final = frozenset({"model", "messages", "stream", "stream_options"})
_SHORT_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")
_CALL_ID: Final = identifiers.any_of(40)
_NO_MEMBERS: Final = Raw(b"{}")


def call_id(given: str, quirks: Quirks) -> str:
    """A tool call's id as the provider takes it: its own are, others' become the same short one each time."""
    if not quirks.short_call_ids:
        return identifiers.fitted(given, _CALL_ID)
    if _SHORT_ID.fullmatch(given):
        return given
    return b32encode(blake2b(given.encode(), digest_size=10).digest()).decode()[:9]


def is_plain(quirks: Quirks) -> bool:
    """Tells whether fields pass as they are."""
    return not quirks.rename and not quirks.move and not quirks.refuse and not quirks.accept and quirks.stream_usage


def refused(fields: Iterable[str], quirks: Quirks) -> tuple[str, ...]:
    """The fields of a request that the provider answers with an error, as far as that is known."""
    if not quirks.accept:
        return quirks.refuse
    return (*quirks.refuse, *(name for name in fields if name not in quirks.accept and name not in _OURS))


def fitted(fields: Json, quirks: Quirks, fit: Fit) -> Json:
    """A client's fields as the provider takes them. Raises Unsupported, as `fit` has it, for one that it refuses."""
    fields = dict(fields)
    for name in refused(fields, quirks):
        value = fields.pop(name, None)
        if value is not None:
            fit.unsupported(name, value=value)
    if not quirks.stream_usage:
        # What the option is for is known anyway, as far as the provider says it.
        fields.pop("stream_options", None)
    return moved(renamed(fields, quirks), quirks)


def renamed(fields: dict[str, _Value], quirks: Quirks) -> dict[str, _Value]:
    """`fields` under the provider's names; a name that is taken keeps its value."""
    for name, theirs in quirks.rename.items():
        if name in fields:
            value = fields.pop(name)
            fields.setdefault(theirs, value)
    return fields


def moved(fields: Json, quirks: Quirks) -> Json:
    """Returns `fields` with those that the provider has as members of another, there; a member that is there already
    keeps its value, and so does a holder that is no object.
    """
    for name, path in quirks.move.items():
        if name not in fields:
            continue
        value = fields.pop(name)
        if bytes(value) in EMPTY:
            continue
        holder, _, member = path.partition(".")
        given = fields.get(holder, _NO_MEMBERS)
        try:
            members = dict(decode_object(_NO_MEMBERS if bytes(given) in EMPTY else given))
        except UNREADABLE:
            continue
        members.setdefault(member, value)
        fields[holder] = Raw(msgspec.json.encode(members))
    return fields
