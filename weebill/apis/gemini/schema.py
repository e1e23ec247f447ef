"""Google's subset of OpenAPI 3.0's schema objects as JSON Schema.

Source: https://ai.google.dev/api/caching#Schema
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE, ApiError

Value = object
_decode: Final = msgspec.json.Decoder(dict[str, Value]).decode

# Google's parser takes both names.
_NAMES: Final = {
    "any_of": "anyOf", "min_items": "minItems", "max_items": "maxItems", "min_length": "minLength",
    "max_length": "maxLength", "min_properties": "minProperties", "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering", "additional_properties": "additionalProperties", "defs": "$defs",
    "ref": "$ref",
}  # fmt: skip
# 64-bit numbers are texts in the JSON form of Google's messages.
_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
# The types by their numbers, which the JSON form of Google's messages takes for names; the first says nothing.
_NUMBERED: Final = ("", "string", "number", "integer", "boolean", "array", "object", "null")
_NO_FORMAT: Final = "enum"
"""A format that says only that there is an `enum`."""


def json_schema(schema: Raw, where: str) -> Raw:
    """`schema` as JSON Schema. Raises ApiError 400 that names `where` it is."""
    try:
        decoded = _decode(schema)
    except UNREADABLE as error:
        raise ApiError(
            400, f"Invalid value for '{where}': Expected a schema object.", code="invalid_value", param=where
        ) from error
    return Raw(msgspec.json.encode(_converted(decoded)))


def _converted(schema: dict[str, Value]) -> dict[str, Value]:
    given = {_NAMES.get(name, name): value for name, value in schema.items()}
    nullable = given.pop("nullable", False) is True
    ordering = given.pop("propertyOrdering", None)
    out: dict[str, Value] = {}
    for name, value in given.items():
        if name == "type" and isinstance(value, str):
            # TYPE_UNSPECIFIED allows any.
            if value.upper() != "TYPE_UNSPECIFIED":
                out["type"] = value.lower()
        elif name == "type" and isinstance(value, int) and 0 <= value < len(_NUMBERED):
            if value:
                out["type"] = _NUMBERED[value]
        elif name == "format" and value == _NO_FORMAT:
            continue
        elif name == "example":
            out["examples"] = [value]
        elif name == "$ref" and isinstance(value, str):
            out["$ref"] = value.replace("#/defs/", "#/$defs/", 1)
        elif name in ("properties", "$defs") and isinstance(value, dict):
            out[name] = {key: _nested(inner) for key, inner in _ordered(value, ordering).items()}
        elif name in ("items", "additionalProperties"):
            out[name] = _nested(value)
        elif name == "anyOf" and isinstance(value, list):
            out[name] = [_nested(inner) for inner in value]
        elif name in _COUNTS and isinstance(value, str) and value.isdecimal():
            out[name] = int(value)
        else:
            out[name] = value
    enum = out.get("enum")
    if out.get("type") == "integer" and isinstance(enum, list):
        # Google's enums are texts, whatever the type.
        out["enum"] = [_number(item) for item in enum]
    return _nullable(out) if nullable else out


def _number(value: Value) -> Value:
    return int(value) if isinstance(value, str) and value.removeprefix("-").isdecimal() else value


def _nested(value: Value) -> Value:
    return _converted(value) if isinstance(value, dict) else value


def _ordered(properties: dict[str, Value], ordering: Value) -> dict[str, Value]:
    """The properties in the order asked for; JSON Schema has no other way to say it."""
    asked = ordering if isinstance(ordering, list) else []
    first = [name for name in asked if isinstance(name, str) and name in properties]
    return {name: properties[name] for name in [*first, *properties]}


def _nullable(schema: dict[str, Value]) -> dict[str, Value]:
    """`schema`, and null."""
    kind = schema.get("type")
    if isinstance(kind, str):
        enum = schema.get("enum")
        values = {"enum": [*enum, None]} if isinstance(enum, list) and None not in enum else {}
        return {**schema, "type": [kind, "null"], **values}
    arms = schema.get("anyOf")
    if isinstance(arms, list):
        return {**schema, "anyOf": [*arms, {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]}
