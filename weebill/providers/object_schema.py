"""Schemas of tools' inputs for APIs that take an object and nothing but an object.

Clients send what their libraries make: a schema without `type`, a reference to the real one, a choice of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from weebill.providers.fit import Fit
from weebill.wire.conversation import Tool
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object, decode_text
from weebill.wire.literals import has_any

NOTHING: Final = Raw(b'{"type":"object","properties":{}}')
ANY_OBJECT: Final = Raw(b'{"type":"object"}')
_OBJECT: Final = Raw(b'"object"')
_CHOICES: Final = ("anyOf", "oneOf", "allOf")
# How nearly all schemas begin that are of an object; those without choices need no further look.
_BEGINNINGS: Final = (b'{"type":"object"', b'{"type": "object"')
_QUOTED: Final = (b'"anyOf"', b'"oneOf"', b'"allOf"')
# References of references, and choices in choices.
_MAX_DEPTH: Final = 8

_encode: Final = msgspec.json.encode
_REPLACED: Final = frozenset({"type", "$ref", *_CHOICES})
_decode_names: Final = msgspec.json.Decoder(list[str]).decode


class Fitted(NamedTuple):
    """`schema` is of an object; `lost` is what it does not say of the original any more, "" if it says all."""

    schema: Raw
    lost: str = ""


def object_schema(schema: Raw | None) -> Fitted:
    """`schema` as that of an object: byte for byte where it is one already.

    >>> bytes(object_schema(Raw(b'{"anyOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}')).schema)
    b'{"type":"object","properties":{"a":{},"b":{}}}'
    """
    if schema is None:
        return Fitted(NOTHING)
    given = bytes(schema)
    if given.startswith(_BEGINNINGS) and not has_any(given, _QUOTED):
        return Fitted(schema)
    try:
        fields = decode_object(schema)
        kind = bytes(fields.get("type", b""))
        if kind == b'"object"' and not any(name in fields for name in _CHOICES):
            return Fitted(schema)
        lost: list[str] = [name for name in ("anyOf", "oneOf") if name in fields]
        if kind not in (b"", b'"object"', b"null") and b'"object"' not in kind:
            lost.append("type")
        return Fitted(Raw(_encode({"type": _OBJECT, **_object(fields, fields, 0)})), ", ".join(lost))
    except UNREADABLE:
        return Fitted(ANY_OBJECT, "a schema that is no JSON object")


def _object(fields: Json, root: Json, depth: int) -> Json:
    """The members of a schema without its choices and its own reference: what these hold is its own then."""
    kept = {name: value for name, value in fields.items() if name not in _REPLACED}
    if depth == _MAX_DEPTH:
        return kept
    if "$ref" in fields:
        kept = {**_object(_referred(fields["$ref"], root), root, depth + 1), **kept}
    for choice in _CHOICES:
        if choice in fields:
            parts = [_object(decode_object(each), root, depth + 1) for each in decode_list(fields[choice])]
            _merge(kept, parts, every=choice == "allOf")
    return kept


def _referred(reference: Raw, root: Json) -> Json:
    """The schema that a reference into the schema itself leads to; none if it leads elsewhere."""
    found: Json = root
    for step in decode_text(reference).removeprefix("#").strip("/").split("/"):
        if step not in found:
            return {}
        found = decode_object(found[step])
    return found


def _merge(kept: Json, parts: Iterable[Json], *, every: bool) -> None:
    """Put the properties of `parts` to those of `kept`, and what all of them (or `every` one) require."""
    given = list(parts)
    properties: dict[str, Raw] = {}
    for part in given:
        properties |= decode_object(part.get("properties", Raw(b"{}")))
    own = decode_object(kept.get("properties", Raw(b"{}")))
    if properties or own:
        kept["properties"] = Raw(_encode({**properties, **own}))
    required = [_required(part) for part in given]
    names = dict.fromkeys(_required(kept))
    if every:
        names |= dict.fromkeys(name for each in required for name in each)
    elif required:
        names |= dict.fromkeys(name for name in required[0] if all(name in each for each in required))
    if names:
        kept["required"] = Raw(_encode(list(names)))
    for part in given if every else ():
        for name, value in part.items():
            kept.setdefault(name, value)


def _required(schema: Mapping[str, Raw]) -> list[str]:
    return _decode_names(schema.get("required", Raw(b"[]")))


def parameters_of(tool: Tool, at: int, fit: Fit) -> Raw:
    """The schema of a tool's parameters, an object's; `fit` is told what it leaves out, of the tool at that index."""
    schema, lost = object_schema(tool.parameters)
    if lost:
        fit.hint(f"tools[{at}].parameters", f"the schema's {lost} at its root")
    return schema
