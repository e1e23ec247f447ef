"""A whole response as the events of a stream: for servers that were asked to stream it and did not."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.responses_items import list_of, text_of
from weebill.wire.responses_request import NULL

RUNNING: Final = Raw(b'"in_progress"')
_NOTHING: Final = Raw(b"[]")
_EMPTY: Final = Raw(b'""')
_encode: Final = msgspec.json.encode
_LAST: Final = {"incomplete": "response.incomplete", "failed": "response.failed"}
# By a part's type: its member that comes as a delta, and the beginning of the events' names.
_PARTS: Final = {"output_text": ("text", "response.output_text"), "refusal": ("refusal", "response.refusal")}
# The same of an item.
_ITEMS: Final = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}


def response_events(body: bytes) -> bytes:
    """The events that say what the response in `body` does. Raises what is in `UNREADABLE`."""
    fields = decode_object(msgspec.json.format(body, indent=-1))  # what stays raw holds no line break
    events = _Events()
    events.add("response.created", response={**fields, "status": RUNNING, "output": _NOTHING})
    for index, raw in enumerate(list_of(fields.get("output", NULL))):
        _item(events, index, decode_object(raw))
    events.add(_LAST.get(text_of(fields.get("status", NULL)), "response.completed"), response=fields)
    return b"".join(events.written)


def item_events(index: int, item: Json) -> bytes:
    """Those of one item that has come in full."""
    events = _Events()
    _item(events, index, item)
    return b"".join(events.written)


class _Events:
    """Events in their order, numbered."""

    __slots__ = ("written",)

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def add(self, kind: str, **members: object) -> None:
        data = _encode({"type": kind, "sequence_number": len(self.written), **members})
        self.written.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), data))


def _item(events: _Events, index: int, item: Json) -> None:
    kind, begun = text_of(item.get("type", NULL)), dict(item)
    member, name = _ITEMS.get(kind, ("content" if kind == "message" else "", ""))
    if member in item:
        begun |= {member: _EMPTY if name else _NOTHING, "status": RUNNING}
    events.add("response.output_item.added", output_index=index, item=begun)
    place = {"item_id": item.get("id", _EMPTY), "output_index": index}
    if name and member in item:
        events.add(f"{name}.delta", **place, delta=item[member])
        events.add(f"{name}.done", **place, **{member: item[member]})
    elif kind == "message":
        for at, raw in enumerate(list_of(item.get("content", NULL))):
            _part(events, decode_object(raw), {**place, "content_index": at})
    events.add("response.output_item.done", output_index=index, item=item)


def _part(events: _Events, part: Json, place: dict[str, object]) -> None:
    member, name = _PARTS.get(text_of(part.get("type", NULL)), ("", ""))
    begun = {**part, member: _EMPTY} if member in part else part
    events.add("response.content_part.added", **place, part=begun)
    if member in part:
        logprobs = {} if member == "refusal" else {"logprobs": _NOTHING}
        events.add(f"{name}.delta", **place, delta=part[member], **logprobs)
        events.add(f"{name}.done", **place, **{member: part[member]}, **logprobs)
    events.add("response.content_part.done", **place, part=part)
