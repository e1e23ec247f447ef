"""The cache control of a request: Weebill's own field `cache`, and the header `Cache-Control`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from weebill.wire.body import invalid_body
from weebill.wire.inbound import Json


class Control(Struct, frozen=True):
    """`find` allows an answer from the cache; `keep` allows storing it, for at most `ttl_s` seconds."""

    find: bool = True
    keep: bool = True
    ttl_s: float | None = None


class _Options(Struct, frozen=True, forbid_unknown_fields=True):
    no_cache: bool = False
    no_store: bool = False
    ttl: Annotated[float, Meta(gt=0)] | None = None


class _Field(Struct, frozen=True):
    cache: bool | _Options | None = None


_DEFAULT: Final = Control()
_decode: Final = msgspec.json.Decoder(_Field).decode


def take_control(fields: Json, header: bytes | None) -> Control:
    """Removes `cache` from a request's fields, and merges it with `Cache-Control`. Raises ApiError 400 that names it.

    `false` stands for `no_cache` and `no_store`. A restriction by either field or header holds.
    """
    value = fields.pop("cache", None)
    if value is None and header is None:
        return _DEFAULT
    said = _options(value)
    directives = {each.strip().lower() for each in header.split(b",")} if header else ()
    return Control(
        find=not (said.no_cache or b"no-cache" in directives),
        keep=not (said.no_store or b"no-store" in directives),
        ttl_s=said.ttl,
    )


def _options(value: Raw | None) -> _Options:
    if value is None:
        return _Options()
    try:
        said = _decode(b'{"cache":%b}' % bytes(value)).cache
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid_body(error) from error
    if isinstance(said, _Options):
        return said
    off = said is False
    return _Options(no_cache=off, no_store=off)
