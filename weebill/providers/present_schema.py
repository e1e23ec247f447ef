"""Schemas without members that are null, which is how some languages write what is absent, and providers refuse.

Source: https://json-schema.org/draft/2020-12/meta/core: no keyword of a schema's own form takes null.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from weebill.wire.conversation import Conversation, Tool
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object

# Null as a member, but of the two that are null now and then.
_has_null: Final = re.compile(rb':(?<!"default":)(?<!"const":)\s*null').search
_NULLABLE: Final = frozenset({"default", "const"})
# What holds values rather than schemas.
_VALUES: Final = frozenset({"default", "const", "enum", "example", "examples"})
_BY_NAME: Final = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_NULL: Final = b"null"
_ANYTHING: Final = Raw(b"{}")
_MAX_DEPTH: Final = 64
_KEPT_BYTES: Final = 16 * 1024

_encode: Final = msgspec.json.encode


def with_present_schemas(conversation: Conversation) -> Conversation:
    """The conversation with such schemas of its tools and of its output."""
    tools = _tools(conversation.tools)
    output = conversation.output
    if output is not None and output.schema is not None:
        schema = present(output.schema)
        if schema is not output.schema:
            output = replace(output, schema=schema)
    if tools is conversation.tools and output is conversation.output:
        return conversation
    return replace(conversation, tools=tools, output=output)


def _tools(tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    schemas = [None if tool.parameters is None else present(tool.parameters) for tool in tools]
    if all(schema is tool.parameters for schema, tool in zip(schemas, tools, strict=True)):
        return tools
    return tuple([replace(tool, parameters=schema) for schema, tool in zip(schemas, tools, strict=True)])


def present(schema: Raw) -> Raw:
    """`schema` as it is, byte for byte, but for such members.

    >>> bytes(present(Raw(b'{"type":"object","properties":null,"default":null}')))
    b'{"type":"object","default":null}'
    """
    text = bytes(schema)
    if _has_null(text) is None:
        return schema
    written = _known(text) if len(text) <= _KEPT_BYTES else _present(text)
    return schema if written == text else Raw(written)


def _present(text: bytes) -> bytes:
    try:
        return _written(text, 0)
    except UNREADABLE:
        return text  # The provider's to judge.


# The tools of an application are the same in each of its requests.
_known: Final = lru_cache(maxsize=512)(_present)


def _written(text: bytes, depth: int) -> bytes:
    if depth == _MAX_DEPTH or _has_null(text) is None:
        return text
    if text[:1] == b"[":
        entries = decode_list(text)
        written = [Raw(_written(bytes(each), depth + 1)) for each in entries]
        return text if written == entries else _encode(written)
    if text[:1] != b"{":
        return text
    fields = decode_object(text)
    kept: Json = {}
    for name, value in fields.items():
        given = bytes(value)
        if given == _NULL and name not in _NULLABLE:
            continue
        if name in _VALUES:
            kept[name] = value
        elif name in _BY_NAME and given[:1] == b"{":
            named = decode_object(value)
            schemas = {key: _one(bytes(each), depth) for key, each in named.items()}
            kept[name] = value if schemas == named else Raw(_encode(schemas))
        else:
            kept[name] = Raw(_written(given, depth + 1))
    return text if kept == fields else _encode(kept)


def _one(text: bytes, depth: int) -> Raw:
    """A schema that has a name, which stays if it says nothing."""
    return _ANYTHING if text == _NULL else Raw(_written(text, depth + 1))
