"""Calls in relayed Responses that have no arguments: `{}` in the place of null, of the text "null" and of nothing.

Clients read what is there as an object. A call that has but begun has none yet.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.arguments import NO_ARGUMENTS, made_arguments
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.responses_items import is_object, list_of, text_of
from weebill.wire.responses_request import NULL
from weebill.wire.sse import event_data

_CALL: Final = b'"function_call"'
_MEMBER: Final = b'"arguments"'
_NONE: Final = re.compile(rb'"arguments"\s*+:\s*+(?:null|"(?: |\\[nrt])*+(?:null)?+(?: |\\[nrt])*+")')
_DONE: Final = b'.done"'
_ARGUMENTS_DONE: Final = b'"response.function_call_arguments.done"'
_ARGUMENTS_PIECE: Final = b'"response.function_call_arguments.delta"'
_FIRST: Final = b'"response.output_item.added"'
_NULL_DELTA: Final = re.compile(rb'("delta"\s*:\s*)"null"')
_EMPTY: Final = Raw(b'"{}"')
_encode: Final = msgspec.json.encode


def with_arguments(body: bytes) -> bytes:
    """A Response each of whose calls has arguments; itself if they do. What cannot be read passes."""
    if body.find(_CALL) < 0 or (body.count(_CALL) <= body.count(_MEMBER) and _NONE.search(body) is None):
        return body
    try:
        fields = decode_object(body)
        output = list_of(fields.get("output", NULL))
        mended = [_item(raw) for raw in output]
    except UNREADABLE:
        return body
    if all(new is old for new, old in zip(mended, output, strict=True)):
        return body
    return _encode({**fields, "output": mended})


def event_with_arguments(block: bytes, before: bytes) -> bytes:
    """An event of a stream likewise: the end of a call, or of its arguments, or null as their first and only piece.

    `before` is the event before it.
    """
    if block.find(_DONE) >= 0:
        has_none = block.find(_MEMBER) < 0 or _NONE.search(block) is not None
        if not has_none or (block.find(_CALL) < 0 and block.find(_ARGUMENTS_DONE) < 0):
            return block
        data = event_data(block)
        return block.replace(data, _end(data), 1) if data else block
    if block.find(_ARGUMENTS_PIECE) >= 0 and before.find(_FIRST) >= 0:
        return _NULL_DELTA.sub(rb'\g<1>"{}"', block)
    return block


def _end(data: bytes) -> bytes:
    try:
        fields = decode_object(data)
        kind = text_of(fields.get("type", NULL))
        if kind == "response.output_item.done":
            return _encode({**fields, "item": _item(fields["item"])})
        if kind == "response.function_call_arguments.done":
            return _encode({**fields, "arguments": _arguments(fields)})
    except (*UNREADABLE, KeyError):
        pass
    return data


def _item(raw: Raw) -> Raw:
    """An item of an output; itself where it is no call of a function, or has arguments."""
    if not is_object(raw):
        return raw
    item = decode_object(raw)
    if text_of(item.get("type", NULL)) != "function_call":
        return raw
    arguments = _arguments(item)
    return raw if arguments is item.get("arguments") else Raw(_encode({**item, "arguments": arguments}))


def _arguments(fields: Json) -> Raw:
    given = fields.get("arguments", NULL)
    none = bytes(given) == b"null" or (bytes(given)[:1] == b'"' and made_arguments(text_of(given)) == NO_ARGUMENTS)
    return _EMPTY if none else given
