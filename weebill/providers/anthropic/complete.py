"""Members that servers leave out of messages and events in Anthropic's form, put in: its SDKs read some unasked.

Only what lacks something is written anew, and by its own members as far as they say anything.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.anthropic.decode import blocks_of
from weebill.providers.anthropic.relay_shapes import BlockHead, DeltaHead, EventHead, RelayedMessage
from weebill.wire.anthropic_usage import UsageReport
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.lenient import leniently, reader
from weebill.wire.literals import SILENT
from weebill.wire.reply import Usage
from weebill.wire.sse import event_data

CALL: Final = "tool_use"
INPUT: Final = "input_json_delta"
_NULL: Final = Raw(b"null")
_EMPTY: Final = Raw(b'""')
_ABSENT: Final = frozenset({b"", b"null"})
_NOTHING: Final = SILENT | {b""}
_NO_TOKENS: Final[Json] = {"input_tokens": Raw(b"0"), "output_tokens": Raw(b"0")}
_THINKING: Final = b'{"type":"thinking","thinking":"","signature":""}'
_TEXT: Final = b'{"type":"text","text":""}'
# The block that a delta belongs to whose block never began, unless it is of text.
_BLOCKS: Final = {"thinking_delta": _THINKING, "signature_delta": _THINKING}
# What a block that begins has, by its type.
_MEMBERS: Final[dict[str, Json]] = {
    "text": {"text": _EMPTY},
    "thinking": {"thinking": _EMPTY, "signature": _EMPTY},
    "tool_use": {"input": Raw(b"{}")},
}
_encode: Final = msgspec.json.encode
_decode_head: Final = msgspec.json.Decoder(EventHead).decode
_read_message: Final = reader(RelayedMessage)
_read_block: Final = reader(BlockHead)
_read_delta: Final = reader(DeltaHead)
_read_usage: Final = reader(UsageReport)


def head_of(block: bytes) -> tuple[EventHead, bool]:
    """Reads an event's head, and tells whether it has the types that it should. Raises what is in `UNREADABLE`."""
    data = event_data(block)
    try:
        return _decode_head(data), True
    except UNREADABLE:
        return leniently(data, EventHead, fill=True), False


def with_members(block: bytes, members: Json) -> bytes:
    """An event block with these members in the place of its own. Raises what is in `UNREADABLE`."""
    fields = decode_object(event_data(block))
    return block[: block.find(b"\n")] + b"\ndata: " + _encode({**fields, **members})


def begun_message(given: Raw, model: bytes) -> Raw:
    """The message that a stream begins with, of `model` (JSON): `given` itself if it has all that is read of it.

    Raises what is in `UNREADABLE`.
    """
    fields = bytes(given).startswith(b"{")
    if fields:
        message = _read_message(given)
        if bytes(message.content).startswith(b"[") and _is_named(message):
            return given
    return Raw(_encode(_message(decode_object(given) if fields else {}, model, _NO_TOKENS)))


def blocks_in(message: Raw) -> int:
    """Counts the blocks of a message that begins. Raises what is in `UNREADABLE`."""
    return len(blocks_of(_read_message(message).content))


def first_block(kind: str) -> bytes:
    """The block that a delta of that kind belongs to, as it begins."""
    return _BLOCKS.get(kind, _TEXT)


def kind_of_delta(raw: Raw) -> str:
    """The kind of block that a delta adds to. Raises what is in `UNREADABLE`."""
    return _read_delta(raw).type or ""


def says_why(raw: Raw) -> bool:
    """Tells whether the `delta` of a message says why it ended. Raises what is in `UNREADABLE`."""
    return bytes(raw).startswith(b"{") and _read_delta(raw).stop_reason is not None


def end_lacks(head: EventHead, tokens: int) -> Json:
    """The members that a `message_delta` should have and has not; `tokens` is what has been generated."""
    missing: Json = {}
    if not bytes(head.delta).startswith(b"{"):
        missing["delta"] = Raw(b'{"stop_reason":null,"stop_sequence":null}')
    counts = bytes(head.usage).startswith(b"{")
    if not counts or _read_usage(head.usage).output_tokens is None:
        fields = decode_object(head.usage) if counts else {}
        missing["usage"] = Raw(_encode({**fields, "output_tokens": tokens}))
    return missing


def with_lacking(raw: Raw) -> tuple[Raw, str]:
    """A block with the members that it should have as it begins, and its type; itself if it lacks none.

    A call without an id gets one. Raises what is in `UNREADABLE`.
    """
    block = _read_block(raw)
    kind = block.type or ""
    wanted = _MEMBERS.get(kind)
    if wanted is None:
        return raw, kind
    missing = {name: value for name, value in wanted.items() if bytes(getattr(block, name)) in _ABSENT}
    if kind == CALL and bytes(block.id) in _NOTHING:
        missing["id"] = Raw(_encode(f"toolu_{secrets.token_hex(12)}"))
    return (Raw(_encode({**decode_object(raw), **missing})) if missing else raw), kind


def completed(body: bytes, message: RelayedMessage, model: str, usage: Usage) -> bytes:
    """A whole answer with all that SDKs and agents read of one; `usage` is for one that reports none."""
    if message.stop_reason is not None and _is_named(message):
        return body
    try:
        return _completed(body, message, model, usage)
    except UNREADABLE:
        return body


def _completed(body: bytes, message: RelayedMessage, model: str, usage: Usage) -> bytes:
    counted = decode_object(_encode(UsageReport.of(usage)))
    fields = _message(decode_object(body), _encode(model), counted)
    blocks = [with_lacking(raw) for raw in blocks_of(fields["content"])]
    fields["content"] = Raw(_encode([raw for raw, _ in blocks]))
    if message.stop_reason is None:
        called = any(kind == CALL for _, kind in blocks)
        fields["stop_reason"] = Raw(b'"tool_use"' if called else b'"end_turn"')
    return _encode(fields)


def _is_named(message: RelayedMessage) -> bool:
    """Tells whether a message says what it is, and what it used."""
    usage = message.usage
    return (
        bool(message.id and message.type and message.role and message.model)
        and usage is not None
        and usage.input_tokens is not None
        and usage.output_tokens is not None
    )


def _message(given: Json, model: bytes, tokens: Json) -> Json:
    members = {
        "type": Raw(b'"message"'),
        "id": Raw(_encode(f"msg_{secrets.token_hex(12)}")),
        "role": Raw(b'"assistant"'),
        "model": Raw(model),
        "stop_reason": _NULL,
        "stop_sequence": _NULL,
    }
    usage = given.get("usage", _NULL)
    return {
        **_over(members, given),
        "content": Raw(_encode(blocks_of(given.get("content", _NULL)))),
        "usage": Raw(_encode(_over(tokens, decode_object(usage) if bytes(usage).startswith(b"{") else {}))),
    }


def _over(members: Json, given: Json) -> Json:
    """Those that are given, and the `members` that are not, or null."""
    said = {name: value for name, value in given.items() if bytes(value) not in _NOTHING or name not in members}
    return {**members, **said}
