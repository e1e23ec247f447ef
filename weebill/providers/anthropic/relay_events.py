"""Events and answers that pass through, in the order that Anthropic's SDKs rely on, and with marks on what is opaque.

Not every server that speaks Anthropic's API says when a message or a block begins, or names its events; some begin
twice. A signature goes back to the very provider that made it and to no other of the same dialect: so it is marked with
the provider, unless that is Anthropic itself.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.anthropic.relay_shapes import EventHead
from weebill.wire.anthropic import ORIGIN, Opaque
from weebill.wire.conversation import Origin
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json
from weebill.wire.lenient import reader
from weebill.wire.sse import event_data, event_name

DELTA: Final = b"event: content_block_delta\n"
_NAME: Final = b"event: "
_END: Final = b"\n\n"
_MESSAGE_START: Final = (
    b'event: message_start\ndata: {"type":"message_start","message":{"type":"message","id":"msg_%b","role":"assistant",'
    b'"model":%b,"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}\n\n'
)
_BLOCK_START: Final = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
)
_KIND: Final = b'{"type":'
_TEXT: Final = b'{"type":"text","text":""}'
_THINKING: Final = b'{"type":"thinking","thinking":"","signature":""}'
# The block that a delta belongs to whose block never began, unless it is of text.
_BLOCKS: Final = {"thinking_delta": _THINKING, "signature_delta": _THINKING}
_INPUT: Final = "input_json_delta"
_SEALED: Final = (b"signature", b"redacted_thinking")
_MEMBERS: Final = ("signature", "data")

_encode: Final = msgspec.json.encode
_decode_object: Final = msgspec.json.Decoder(Json).decode
_decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


_read_event: Final = reader(EventHead)


class EventRepair:
    """Mends one stream's events; `model` is JSON, `provider` who made what is opaque, "" for Anthropic."""

    __slots__ = ("_begun", "_mark", "_model", "_open", "steady")

    def __init__(self, model: bytes, provider: Origin) -> None:
        self._model = model
        self._mark = provider if provider != ORIGIN else ""
        self._begun = False
        self._open = False
        self.steady = False
        """True where a delta is as it must be, as nearly all are."""

    def event(self, block: bytes) -> bytes:
        """The event with what must come before it, blank lines included; b"" for one that is to be left out."""
        mended = self._event(block)
        self.steady = self._open and self._begun and not self._mark
        return mended

    def _event(self, block: bytes) -> bytes:
        if not block.startswith(_NAME):
            block = _with_name(block)
        name = block[len(_NAME) : block.find(b"\n")] if block.startswith(_NAME) else b""
        if name == b"content_block_delta":
            return self._delta(block)
        if name == b"message_start":
            if self._begun:
                return b""
            self._begun = True
        elif name == b"content_block_start":
            self._open = True
            return self._start() + _marked(block, self._mark, "content_block") + _END
        elif name == b"content_block_stop":
            self._open = False
        elif name == b"message_delta":
            return self._start() + block + _END
        return block + _END

    def _start(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        return _MESSAGE_START % (secrets.token_hex(12).encode(), self._model)

    def _delta(self, block: bytes) -> bytes:
        before = self._start()
        if not self._open:
            event = _read(block)
            if event.delta.type == _INPUT:
                return before  # Nobody knows of which call.
            self._open = True
            before += _BLOCK_START % (event.index, _BLOCKS.get(event.delta.type, _TEXT))
        return before + _marked(block, self._mark, "delta") + _END


def marked_answer(body: bytes, provider: Origin) -> bytes:
    """A whole answer, with its maker on what is opaque."""
    if not provider or provider == ORIGIN or not _has_sealed(body):
        return body
    try:
        fields = _decode_object(body)
        blocks = [_sealed_by(block, provider) for block in _decode_list(fields["content"])]
    except (*UNREADABLE, KeyError):
        return body
    return _encode({**fields, "content": blocks})


def _read(block: bytes) -> EventHead:
    try:
        return _read_event(event_data(block))
    except UNREADABLE:
        return EventHead()


def _with_name(block: bytes) -> bytes:
    """An event with its name first: that is what SDKs tell events by."""
    lines = block.split(b"\n")
    named = [line for line in lines if line.startswith(b"event:")]
    if named:
        rest = [line for line in lines if not line.startswith(b"event:")]
        return b"\n".join([_NAME + named[0][6:].strip(), *rest])
    kind = _read(block).type if event_data(block) else ""
    return b"%b%b\n%b" % (_NAME, kind.encode(), block) if kind else block


def with_kind(block: bytes) -> bytes:
    """An event whose kind its data says, too, where only its name does: SDKs ask both."""
    data = event_data(block)
    if data.startswith(_KIND) or not data.startswith(b"{") or _read(block).type:
        return block
    name = event_name(block)
    if not name:
        return block
    members = data[1:].lstrip()
    return b'%b%b\ndata: {"type":%b%b%b' % (
        _NAME, name, _encode(name.decode()), b"" if members.startswith(b"}") else b",", members
    )  # fmt: skip


def _has_sealed(data: bytes) -> bool:
    return any(data.find(word) >= 0 for word in _SEALED)


def _marked(block: bytes, provider: Origin, member: str) -> bytes:
    """An event with its maker on what is opaque in its member `member`."""
    if not provider or not _has_sealed(block):
        return block
    try:
        fields = _decode_object(event_data(block))
        inner = _sealed_by(fields[member], provider)
    except (*UNREADABLE, KeyError):
        return block
    if inner is fields[member]:
        return block
    return block[: block.find(b"\n")] + b"\ndata: " + _encode({**fields, member: inner})


def _sealed_by(raw: Raw, provider: Origin) -> Raw:
    fields = _decode_object(raw)
    for name in _MEMBERS:
        value = bytes(fields.get(name, b""))
        if value.startswith(b'"') and value != b'""':
            return Raw(_encode({**fields, name: Opaque(_decode_text(value), provider).written()}))
    return raw
