"""A whole message as the events of a stream: for servers that were asked to stream it and did not."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object

_NULL: Final = Raw(b"null")
_EMPTY: Final = Raw(b'""')
_NO_USAGE: Final = Raw(b'{"input_tokens":0,"output_tokens":0}')
_encode: Final = msgspec.json.encode
# By a block's type: its members that come as deltas, each with the delta's type and what it begins as.
_PIECES: Final[dict[bytes, tuple[tuple[str, str, Raw], ...]]] = {
    b'"text"': (("text", "text_delta", _EMPTY),),
    b'"thinking"': (("thinking", "thinking_delta", _EMPTY), ("signature", "signature_delta", _EMPTY)),
}
_CALLS: Final = frozenset({b'"tool_use"', b'"server_tool_use"', b'"mcp_tool_use"'})


def message_events(body: bytes) -> bytes:
    """The events that say what the message in `body` does. Raises what is in `UNREADABLE`."""
    fields = decode_object(msgspec.json.format(body, indent=-1))  # what stays raw holds no line break
    usage = fields.get("usage", _NO_USAGE)
    begun = {**fields, "content": Raw(b"[]"), "stop_reason": _NULL, "stop_sequence": _NULL, "usage": usage}
    events = [_event("message_start", {"message": begun})]
    for index, raw in enumerate(decode_list(fields["content"])):
        events += _block(index, decode_object(raw))
    delta = {name: fields.get(name, _NULL) for name in ("stop_reason", "stop_sequence")}
    events.append(_event("message_delta", {"delta": delta, "usage": usage}))
    events.append(_event("message_stop", {}))
    return b"".join(events)


def _block(index: int, block: Json) -> list[bytes]:
    begun = dict(block)
    deltas: list[dict[str, object]] = []
    kind = bytes(block.get("type", b""))
    for name, delta, empty in _PIECES.get(kind, ()):
        if name in block:
            begun[name] = empty
            deltas.append({"type": delta, name: block[name]})
    if kind in _CALLS and "input" in block:
        begun["input"] = Raw(b"{}")
        deltas.append({"type": "input_json_delta", "partial_json": bytes(block["input"]).decode()})
    if kind == b'"text"' and bytes(block.get("citations", b"")).startswith(b"["):
        begun["citations"] = Raw(b"[]")
        deltas += [{"type": "citations_delta", "citation": each} for each in decode_list(block["citations"])]
    return [
        _event("content_block_start", {"index": index, "content_block": begun}),
        *[_event("content_block_delta", {"index": index, "delta": delta}) for delta in deltas],
        _event("content_block_stop", {"index": index}),
    ]


def _event(kind: str, members: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **members}))
