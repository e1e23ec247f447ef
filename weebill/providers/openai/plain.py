"""An answer in one piece as the events of a stream: for who asked for one, of an upstream that has none."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object, decode_objects
from weebill.wire.sse import event

_KINDS: Final = {b'"chat.completion"': Raw(b'"chat.completion.chunk"')}
_NULL: Final = Raw(b"null")
_encode: Final = msgspec.json.encode


def as_events(body: bytes) -> bytes:
    """A completion as a chunk with all that it says, and one with its usage. Raises what is in `UNREADABLE`."""
    # In one line, as what stays raw is not written anew.
    fields = decode_object(msgspec.json.format(body, indent=-1))
    usage = fields.pop("usage", _NULL)
    kind = fields.get("object")
    if kind is not None:
        fields["object"] = _KINDS.get(bytes(kind), kind)
    choices = [_chunked(choice) for choice in decode_objects(fields["choices"])]
    events = event(_encode({**fields, "choices": choices}))
    if bytes(usage) != b"null":
        events += event(_encode({**fields, "choices": [], "usage": usage}))
    return events


def _chunked(choice: Json) -> Json:
    if "message" not in choice:
        return choice
    delta = decode_object(choice["message"])
    calls = delta.get("tool_calls", _NULL)
    if bytes(calls)[:1] == b"[":
        numbered = [{**decode_object(call), "index": at} for at, call in enumerate(decode_list(calls))]
        delta["tool_calls"] = Raw(_encode(numbered))
    chunked = {name: value for name, value in choice.items() if name != "message"}
    return {**chunked, "delta": Raw(_encode(delta))}
