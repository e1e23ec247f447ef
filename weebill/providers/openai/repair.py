"""Tool calls in relayed answers, as OpenAI's clients can read them.

Their SDKs put pieces together by index, and join what is said twice: a wrong index, a name that comes with every piece,
or an empty object before the arguments makes calls that nobody can run. Chunks as OpenAI writes them pass as they are;
only others are written anew.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.openai.calls import CallSorter, Slot
from weebill.providers.openai.chunks import as_messages
from weebill.providers.openai.decode import ToolCall, call_id
from weebill.providers.openai.empties import has_empties, without_empties
from weebill.providers.openai.pieces import is_in_pieces, joined
from weebill.providers.openai.relayed import decode_calls
from weebill.providers.openai.relayed_shapes import CallsOfChoice, CallsOfMessage
from weebill.wire.arguments import NO_ARGUMENTS
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object, decode_objects
from weebill.wire.lenient import leniently

_SIGN: Final = b'"tool_calls"'
_NULL: Final = Raw(b"null")
_FUNCTION: Final = Raw(b'"function"')
_NONE: Final = frozenset({"", "null"})
_NO_CALLS: Final = CallsOfMessage()
_encode: Final = msgspec.json.encode


def has_calls(data: bytes) -> bool:
    """Tells whether there may be tool calls in an answer or in chunks."""
    return data.find(_SIGN) >= 0


class CallRepair:
    """The chunks of one stream, those with calls put in order."""

    __slots__ = ("_sorters", "_told")

    def __init__(self) -> None:
        self._sorters: dict[int, CallSorter] = {}
        self._told: dict[tuple[int, int], bool] = {}
        """The calls that have been begun, by choice and number, and whether their names were told."""

    @property
    def called(self) -> bool:
        """Tells whether any call has begun."""
        return bool(self._told)

    def chunk(self, data: bytes) -> bytes:
        """A chunk as it came if it is as it should be. What cannot be read passes."""
        try:
            chunk = decode_calls(data)
            written = {
                at: calls
                for at, choice in enumerate(chunk.choices or ())
                if (calls := self._choice(chunk.id or "", choice)) is not None
            }
            return _with_calls(data, "delta", written) if written else data
        except UNREADABLE:
            return data

    def _choice(self, identity: str, choice: CallsOfChoice) -> Json | None:
        """The members to put in the place of a delta's own, null for those to be left out; None if it is fine."""
        delta = choice.delta or _NO_CALLS
        members: Json = {}
        index = choice.index or 0
        sorter = self._sorters.get(index)
        if delta.tool_calls or (sorter is not None and choice.finish_reason):
            if sorter is None:
                sorter = self._sorters[index] = CallSorter()
            fine = not delta.is_single()
            pieces = []
            for raw in delta.calls():
                call, typed = _read(raw)
                before = sorter.last
                slot = sorter.take(call)
                if before is not None and before is not slot and before.pending and self._has(index, before):
                    pieces.append(_rest(before))
                    fine = False
                may_follow = not choice.finish_reason and slot.has_placeholder()
                piece = self._piece(identity, index, slot, call, raw, typed, _new(slot, call, may_follow))
                fine = fine and piece is raw
                if piece is not None:
                    pieces.append(piece)
            if choice.finish_reason:
                owed = self._owed(index, sorter)
                fine = fine and not owed
                pieces += owed
            if not fine:
                members["tool_calls"] = Raw(_encode(pieces)) if pieces else _NULL
        return members or None

    def _owed(self, choice: int, sorter: CallSorter) -> list[Raw]:
        """The arguments of calls that are over and got none, or none yet."""
        return [
            _rest(slot) for slot in sorter.slots if not slot.custom and not slot.written and self._has(choice, slot)
        ]

    def _has(self, choice: int, slot: Slot) -> bool:
        """Tells whether the client knows of a call."""
        return (choice, slot.number) in self._told

    def _piece(
        self, identity: str, choice: int, slot: Slot, call: ToolCall, raw: Raw, typed: bool, text: str
    ) -> Raw | None:
        """A piece with `text` as its arguments, as clients put it together: itself where it is so; None for nothing."""
        if slot.custom:
            if call.index == slot.number:
                return raw
            return Raw(_encode({**decode_object(raw), "index": slot.number}))
        key = (choice, slot.number)
        told = self._told.get(key)
        function = call.called()
        if told is None:
            if slot.is_blank():
                return None
            self._told[key] = bool(slot.name)
            if (
                typed
                and call.index == slot.number
                and call.id
                and call.type
                and call.custom is None
                and function.name
                and function.arguments == text
                and text != "null"
            ):
                return raw
            return _written(raw, slot, slot.id or call_id(identity, choice, slot.number), slot.name, call, text)
        name = None
        if not told and slot.name:
            self._told[key] = True
            name = slot.name
        elif slot.more:
            name = slot.more
        if (
            typed
            and call.index == slot.number
            and not call.id
            and call.custom is None
            and (not function.name or function.name == name)
            and (function.arguments == text or (function.arguments is None and not text))
        ):
            return raw
        return _written(raw, slot, None, name, call, text)


def _new(slot: Slot, call: ToolCall, may_follow: bool) -> str:
    """The arguments to tell of a piece: none while what has come `may_follow` by what they are, then all of them."""
    if slot.custom:
        return ""
    text = call.called().text()
    if text:
        slot.pending.append(text)
    if may_follow:
        return ""
    text = "".join(slot.pending)
    slot.pending.clear()
    slot.written = slot.written or bool(text.strip())
    return text


def _rest(slot: Slot) -> Raw:
    """The arguments of a call that may be over: what was not told of them, or none."""
    slot.written = True
    slot.pending.clear()
    return Raw(_encode({"index": slot.number, "function": {"arguments": NO_ARGUMENTS}}))


def _read(raw: Raw) -> tuple[ToolCall, bool]:
    """One call, or a piece of one, and whether its members are where they should be, and of their types.

    Raises what is in `UNREADABLE`.
    """
    try:
        call = _decode_call(raw)
        return call, not call.is_flat()
    except UNREADABLE:
        return leniently(bytes(raw), ToolCall), False


_decode_call: Final = msgspec.json.Decoder(ToolCall).decode


def put_right(body: bytes, *, chat: bool) -> bytes:
    """A whole answer, of Chat Completions if it is a `chat`, as OpenAI's clients can read it. Raises `UNREADABLE`."""
    if chat:
        body = as_messages(body)
    if has_empties(body):
        body = without_empties(body)
    return repaired(joined(body) if is_in_pieces(body) else body)


def repaired(body: bytes) -> bytes:
    """A whole answer: as it came if its calls are as they should be. What cannot be read passes."""
    try:
        answer = decode_calls(body)
        written: dict[int, Json] = {}
        for at, choice in enumerate(answer.choices or ()):
            message = choice.message
            if message is None:
                continue
            members: Json = {}
            if message.tool_calls:
                given = message.calls()
                calls = [_call(raw, call_id(answer.id or "", at, number)) for number, raw in enumerate(given)]
                if message.is_single() or any(call is not raw for call, raw in zip(calls, given, strict=True)):
                    kept = [call for call in calls if call is not None]
                    members["tool_calls"] = Raw(_encode(kept)) if kept else _NULL
            if members:
                written[at] = members
        return _with_calls(body, "message", written) if written else body
    except UNREADABLE:
        return body


def _call(raw: Raw, default_id: str) -> Raw | None:
    call, typed = _read(raw)
    if call.custom_call() is not None:
        return raw
    function = call.called()
    text = function.text()
    if not function.name and text.strip() in ("", "null", "{}"):
        return None
    plain = typed and call.id and call.type and call.custom is None
    if plain and isinstance(function.arguments, str) and text not in _NONE:
        return raw
    fields, given = _members(raw, call.is_flat())
    given["arguments"] = Raw(_encode(NO_ARGUMENTS if text.strip() in _NONE else text))
    return Raw(
        _encode({**fields, "id": call.id or default_id, "type": call.type or "function", "function": given}),
    )


def _members(raw: Raw, flat: bool) -> tuple[Json, Json]:
    """The members of a call, and of its function: of one that is `flat`, they stand beside each other."""
    fields = decode_object(raw)
    fields.pop("custom", None)
    if flat:
        return fields, {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    return fields, decode_object(fields["function"]) if bytes(fields.get("function", b"null")) != b"null" else {}


def _written(raw: Raw, slot: Slot, identity: str | None, name: str | None, call: ToolCall, text: str) -> Raw:
    """A piece with the call's index and `text`, and with `identity` and `name` where it is to tell them."""
    fields, given = _members(raw, call.is_flat())
    fields.pop("id", None)
    given.pop("name", None)
    if name:
        given["name"] = Raw(_encode(name))
    given["arguments"] = Raw(_encode(NO_ARGUMENTS if text == "null" and slot.arguments() == "null" else text))
    fields["index"] = Raw(_encode(slot.number))
    fields["function"] = Raw(_encode(given))
    if identity is not None:
        fields["id"] = Raw(_encode(identity))
        fields["type"] = _FUNCTION
    return Raw(_encode(fields))


def _with_calls(data: bytes, where: str, written: dict[int, Json]) -> bytes:
    """An answer or a chunk with some members of its choices' messages replaced; null takes one out."""
    fields = decode_object(data)
    choices = decode_objects(fields["choices"])
    for at, members in written.items():
        given = choices[at].get(where, _NULL)
        message = members if bytes(given) == b"null" else decode_object(given) | members
        choices[at][where] = Raw(
            _encode({name: value for name, value in message.items() if name not in members or value is not _NULL}),
        )
    fields["choices"] = Raw(_encode(choices))
    return _encode(fields)
