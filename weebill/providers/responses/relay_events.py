"""Events of a Responses stream that passes through, with what is missing from them put in.

The SDKs take for granted that a response, its items and their parts are announced before pieces of them come, and that
every event says of which item it is. Events that lack nothing keep every byte.
"""

from __future__ import annotations

from typing import Final
from uuid import uuid4

import msgspec
from msgspec import Raw

from weebill.providers.responses.plain import RUNNING, item_events
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.responses_items import list_of, text_of
from weebill.wire.responses_request import NULL
from weebill.wire.sse import MAX_EVENT_BYTES

_END: Final = b"\n\n"
# A response's id stands at its beginning.
_HEAD: Final = 4096
_OUTPUT_INDEX: Final = b'"output_index":'
_CONTENT_INDEX: Final = b'"content_index":'
# The names of events that are of a part of a message.
_SAID: Final = (b"response.output_text.", b"response.refusal.")
_ITEM: Final = "response.output_item."
_ADDED: Final = _ITEM + "added"
_DONE: Final = _ITEM + "done"
_PART_DONE: Final = "response.content_part.done"
_PART_ADDED: Final = "response.content_part.added"
_EMPTY: Final = Raw(b'""')
_NOTHING: Final = Raw(b"[]")
# By what the names of events begin with: the item that they are of, as far as it has to be known.
_ITEMS: Final[dict[str, dict[str, Raw]]] = {
    "response.content_part.": {"type": Raw(b'"message"'), "role": Raw(b'"assistant"'), "content": _NOTHING},
    "response.output_text.": {"type": Raw(b'"message"'), "role": Raw(b'"assistant"'), "content": _NOTHING},
    "response.refusal.": {"type": Raw(b'"message"'), "role": Raw(b'"assistant"'), "content": _NOTHING},
    "response.reasoning_": {"type": Raw(b'"reasoning"'), "summary": _NOTHING},
}
# The parts of a message that pieces are of.
_PARTS: Final[dict[str, dict[str, Raw]]] = {
    "response.output_text.": {"type": Raw(b'"output_text"'), "text": _EMPTY, "annotations": _NOTHING},
    "response.refusal.": {"type": Raw(b'"refusal"'), "refusal": _EMPTY},
}
# Of these, nothing can be said before all of the item has come, which says it again.
_CALLS: Final = ("response.function_call_arguments.", "response.custom_tool_call_input.")

_encode: Final = msgspec.json.encode
_decode_number: Final = msgspec.json.Decoder(int).decode


class EventRepair:
    """State of a response that is under way. `begun` is its JSON as it was announced, b"" until it was."""

    __slots__ = ("_bytes", "_done", "_id", "_in_part", "_items", "_parts", "_renamed", "_steady", "begun", "model")

    def __init__(self, model: str) -> None:
        self.model = model
        self.begun = b""
        self._id = b""
        self._items: dict[int, str] = {}
        self._done: dict[int, Raw] = {}
        self._bytes = 0  # of these, which are kept as long as they fit into one event
        self._parts: set[tuple[int, int]] = set()
        self._renamed: dict[str, str] = {}
        # Whether an item is under way that was announced, and whether a part of it is: pieces of it are well.
        self._steady = False
        self._in_part = False

    @property
    def complete(self) -> bool:
        """Tells whether there are items, all of which have come in full."""
        return bool(self._items) and self._items.keys() == self._done.keys()

    def passes(self, block: bytes) -> bool:
        """Tells whether an event is a piece of what is under way, and says of what."""
        if not self._steady or block.find(_OUTPUT_INDEX) < 0:
            return False
        is_said = block.find(_SAID[0]) >= 0 or block.find(_SAID[1]) >= 0
        return not is_said or (self._in_part and block.find(_CONTENT_INDEX) >= 0)

    def event(self, block: bytes, data: bytes) -> bytes:
        """An event about an item, `data` of which is the JSON, with what has to come before it."""
        try:
            fields = decode_object(data)
        except UNREADABLE:
            return block + _END
        kind = text_of(fields.get("type", NULL))
        if not kind.startswith("response."):
            return block + _END
        before = b"" if self.begun else self.announced(b"")
        try:
            return before + self._repaired(block, kind, fields)
        except UNREADABLE:
            return before + block + _END

    def begin(self, response: bytes) -> None:
        """Take note of a response that is announced."""
        self.begun = response
        given = decode_object(response).get("id", NULL)
        self._id = bytes(given) if text_of(given) else b""

    def announced(self, response: bytes) -> bytes:
        """The event that begins a response, where an upstream began with another; of `response` if that is known."""
        if response:
            fields = {**decode_object(response), "status": RUNNING, "output": _NOTHING}
        else:
            fields = {
                "id": Raw(_encode(f"resp_{uuid4().hex}")),
                "object": Raw(b'"response"'),
                "created_at": Raw(b"0"),
                "status": RUNNING,
            }
            fields |= {"model": Raw(_encode(self.model)), "output": _NOTHING, "tools": _NOTHING}
            fields |= {"parallel_tool_calls": Raw(b"true"), "tool_choice": Raw(b'"auto"')}
        self.begin(_encode(fields))
        return _written("response.created", sequence_number=0, response=Raw(self.begun))

    def ended(self) -> bytes:
        """The response that all that has come makes; it has been announced, and is complete."""
        output = [self._done[index] for index in sorted(self._done)]
        return _encode({**decode_object(self.begun), "status": "completed", "output": output})

    def called(self, response: bytes) -> bytes:
        """A response that goes by the id under which it was announced, and its items, too."""
        if not self._renamed and (not self._id or response.find(self._id, 0, _HEAD) >= 0):
            return response
        fields = decode_object(response)
        if self._id:
            fields["id"] = Raw(self._id)
        if not self._renamed:
            return _encode(fields)
        output = [decode_object(raw) for raw in list_of(fields.get("output", NULL))]
        for item in output:
            first = self._renamed.get(text_of(item.get("id", NULL)))
            if first is not None:
                item["id"] = Raw(_encode(first))
        return _encode({**fields, "output": output})

    def _repaired(self, block: bytes, kind: str, fields: Json) -> bytes:
        item = decode_object(fields["item"]) if "item" in fields else {}
        if not item and kind.startswith(_ITEM):
            return block + _END
        given = dict(fields)
        name = text_of(item.get("id", NULL) if item else fields.get("item_id", NULL))
        index = self._index(kind, fields, name)
        if "output_index" not in fields:
            given["output_index"] = Raw(_encode(index))
        number = fields.get("sequence_number", Raw(b"0"))
        if kind == _ADDED:
            self._items[index] = name
            self._steady, self._in_part = True, False
        elif kind == _DONE:
            self._steady = False
            if index not in self._items:
                self._items[index] = name
                self._keep(index, fields["item"])
                return item_events(index, item)
            first = self._items[index]
            if first and name and first != name:
                self._renamed[name] = first
                given["item"] = Raw(_encode({**item, "id": first}))
            self._keep(index, given["item"])
        elif kind.startswith(_CALLS):
            if index not in self._items:
                return b""
        else:
            return self._announcing(block, kind, fields, given, index, name, number)
        return block + _END if given == fields else _written(kind, **given)

    def _keep(self, index: int, item: Raw) -> None:
        self._bytes += len(memoryview(item))
        if self._bytes <= MAX_EVENT_BYTES:
            self._done[index] = item

    def _announcing(
        self, block: bytes, kind: str, fields: Json, given: Json, index: int, name: str, number: Raw
    ) -> bytes:
        """A piece of an item, with the item and its part announced before it where they were not."""
        begin = next((begin for begin in _ITEMS if kind.startswith(begin)), None)
        if begin is None:
            return block + _END
        before = b""
        if index not in self._items:
            self._items[index] = name = name or f"item_{index}"
            item = {"id": name, **_ITEMS[begin], "status": RUNNING}
            self._steady = True
            before = _written(_ADDED, sequence_number=number, output_index=index, item=item)
        part = _PARTS.get(begin)
        if part is not None or begin == "response.content_part.":
            if "content_index" not in fields:
                given["content_index"] = Raw(b"0")
            at = (index, _decode_number(given["content_index"]))
            if part is not None and at not in self._parts:
                before += _written(
                    _PART_ADDED, sequence_number=number, item_id=self._items[index], output_index=index,
                    content_index=at[1], part=part,
                )  # fmt: skip
            self._parts.add(at)
            self._in_part = kind != _PART_DONE
        return before + (block + _END if given == fields else _written(kind, **given))

    def _index(self, kind: str, fields: Json, name: str) -> int:
        """Of which item an event is: as it says, else by the item's id, else the last."""
        if "output_index" in fields:
            return _decode_number(fields["output_index"])
        for index, known in self._items.items():
            if name and known == name and kind != _ADDED:
                return index
        last = max(self._items, default=-1)
        is_new = kind == _ADDED or last < 0 or last in self._done
        return last + 1 if is_new else last


def _written(kind: str, **members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({**members, "type": kind}))
