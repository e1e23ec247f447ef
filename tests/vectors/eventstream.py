"""Frames of Amazon's binary event streams, for the emulator and for tests: the other direction of
`weebill.wire.eventstream`."""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec


def encode_frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One frame whose headers are all strings."""
    return frame_of(b"".join(header(name, b"\x07" + struct.pack(">H", len(value.encode())) + value.encode())
                             for name, value in headers.items()), payload)  # fmt: skip


def header(name: str, typed_value: bytes) -> bytes:
    """One header; `typed_value` begins with the number of its type."""
    return bytes([len(name)]) + name.encode() + typed_value


def frame_of(headers: bytes, payload: bytes) -> bytes:
    """One frame with these headers, already encoded."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def encode_entry(entry: dict[str, object]) -> bytes:
    """One entry of a Bedrock vector's `stream`: an event, an exception, or an error of the service's."""
    payload = msgspec.json.encode(entry.get("payload", {}))
    if "event" in entry:
        kind = {":event-type": str(entry["event"]), ":content-type": "application/json", ":message-type": "event"}
    elif "exception" in entry:
        kind = {":exception-type": str(entry["exception"]), ":content-type": "application/json"}
        kind[":message-type"] = "exception"
    else:
        kind = {":error-code": str(entry["error"]), ":error-message": str(entry["message"]), ":message-type": "error"}
        payload = b""
    return encode_frame(kind, payload)
