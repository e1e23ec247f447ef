"""JSON Schemas as Anthropic's structured outputs take them.

Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object

_encode = msgspec.json.encode

# Keywords whose value is a schema, a list of schemas, or schemas by name; and those that hold none.
_ONE: Final = frozenset({"items"})
_MANY: Final = frozenset({"anyOf", "allOf"})
_NAMED: Final = frozenset({"properties", "$defs", "definitions"})
_PLAIN: Final = frozenset(
    {"type", "required", "enum", "const", "title", "description", "default", "format", "pattern", "$ref", "$schema",
     "additionalProperties", "minItems"}
)  # fmt: skip
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_FALSE: Final = Raw(b"false")


class NotNative(Exception):  # noqa: N818 - not an error of ours
    """Structured outputs cannot hold an answer to a schema; `what` says because of what in it."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def native(schema: Raw) -> Raw:
    """`schema` with every object closed, as structured outputs demand. Raises NotNative.

    An object with `properties` that leaves open whether it has others is closed: what then comes fits the original as
    well. One without any cannot be.
    """
    try:
        return Raw(_encode(_closed(decode_object(schema))))
    except UNREADABLE as error:
        raise NotNative("a schema that is no JSON Schema object") from error


def described(schema: Raw, name: str | None, description: str | None) -> Raw:
    """`schema` with a name and a description, where it has none of its own."""
    said = {"title": name, "description": description}
    try:
        fields = decode_object(schema)
    except UNREADABLE:
        return schema
    added = {key: Raw(_encode(value)) for key, value in said.items() if value and key not in fields}
    return Raw(_encode({**fields, **added})) if added else schema


def _closed(schema: Json) -> Json:
    closed: Json = {}
    for keyword, value in schema.items():
        if keyword in _PLAIN:
            _check(keyword, bytes(value))
            closed[keyword] = value
        elif keyword in _ONE:
            closed[keyword] = native(value)
        elif keyword in _MANY:
            closed[keyword] = Raw(_encode([native(one) for one in decode_list(value)]))
        elif keyword in _NAMED:
            closed[keyword] = Raw(_encode({name: native(one) for name, one in decode_object(value).items()}))
        else:
            raise NotNative(f"the schema keyword '{keyword}'")
    if "properties" in closed:
        closed.setdefault("additionalProperties", _FALSE)
    elif b'"object"' in bytes(closed.get("type", b"")) and "additionalProperties" not in closed:
        raise NotNative("an object without 'properties'")
    return closed


def _check(keyword: str, value: bytes) -> None:
    """Raises NotNative for the values of a keyword that are not taken."""
    if keyword == "additionalProperties" and value != b"false":
        raise NotNative("'additionalProperties' other than false")
    if keyword == "minItems" and value not in (b"0", b"1"):
        raise NotNative("'minItems' over 1")
    if keyword == "format" and value.strip(b'"').decode() not in _FORMATS:
        raise NotNative(f"the format {value.decode()}")
    if keyword == "$ref" and not value.startswith(b'"#/'):
        raise NotNative("a reference outside of the schema")
