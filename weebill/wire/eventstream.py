"""Amazon's binary event streams (application/vnd.amazon.eventstream): frames out of a stream of bytes.

A frame is a prelude (its whole length, the length of its headers, the CRC-32 of both; 32 bits each, big-endian), the
headers, the payload, and the CRC-32 of all that. A header is its name's length (8 bits), its name, its type (8 bits)
and its value.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple
from zlib import crc32

from weebill.wire.failure import UpstreamFailure, invalid_answer
from weebill.wire.sse import MAX_EVENT_BYTES, bounded

HeaderValue = bool | int | bytes | str
"""Timestamps are milliseconds of Unix time, UUIDs their 16 bytes."""
Headers = dict[str, HeaderValue]

_PRELUDE: Final = struct.Struct(">III")
_PRELUDE_BYTES: Final = 12
_CRC: Final = struct.Struct(">I")
_CRC_BYTES: Final = 4
_MAX_HEADER_BYTES: Final = 128 * 1024
# The headers of a stream's events are few and always the same, so that each is read once.
_KNOWN_HEADERS: Final = 64


class Frame(NamedTuple):
    """One message of a stream."""

    headers: Headers
    payload: bytes


class FrameDecoder:
    """Cuts a stream into frames, wherever its reads were split."""

    __slots__ = ("_headers", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._headers: dict[bytes, Headers] = {}

    @property
    def pending(self) -> int:
        """The number of bytes of an unfinished frame."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises UpstreamFailure on one that is damaged or over MAX_EVENT_BYTES."""
        tail = self._tail
        if tail:
            tail += data
            if len(tail) < _PRELUDE_BYTES or len(tail) < self._length(tail, 0)[0]:
                return []
            data = bytes(tail)
            tail.clear()
        frames = []
        start, size = 0, len(data)
        while size - start >= _PRELUDE_BYTES:
            length, header_length = self._length(data, start)
            if size - start < length:
                break
            frames.append(self._frame(data[start : start + length], header_length))
            start += length
        tail += data[start:]
        return frames

    def _length(self, data: bytes | bytearray, start: int) -> tuple[int, int]:
        """The length in bytes of the frame that begins at `start`, and that of its headers."""
        length, header_length, checksum = _PRELUDE.unpack_from(data, start)
        if crc32(data[start : start + 8]) != checksum:
            raise _damaged("the checksum of its prelude is wrong")
        if length > MAX_EVENT_BYTES:
            raise _damaged(f"it is over {MAX_EVENT_BYTES} bytes")
        if header_length > min(length - _PRELUDE_BYTES - _CRC_BYTES, _MAX_HEADER_BYTES):
            raise _damaged("its lengths contradict each other")
        return length, header_length

    def _frame(self, data: bytes, header_length: int) -> Frame:
        if crc32(data[:-_CRC_BYTES]) != _CRC.unpack_from(data, len(data) - _CRC_BYTES)[0]:
            raise _damaged("its checksum is wrong")
        end = _PRELUDE_BYTES + header_length
        block = data[_PRELUDE_BYTES:end]
        headers = self._headers.get(block)
        if headers is None:
            headers = read_headers(block)
            if len(self._headers) < _KNOWN_HEADERS:
                self._headers[block] = headers
        return Frame(headers, bounded(data[end:-_CRC_BYTES]))


def _fixed(code: str) -> Callable[[bytes, int], tuple[int, int]]:
    """A reader of integers of one size: of the value at an offset, and the offset after it."""
    layout = struct.Struct(code)

    def read(data: bytes, at: int) -> tuple[int, int]:
        value: int = layout.unpack_from(data, at)[0]
        return value, at + layout.size

    return read


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length: int = struct.unpack_from(">H", data, at)[0]
    return _take(data, at + 2, length)


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    value, at = _read_bytes(data, at)
    return value.decode(), at


def _take(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    end = at + length
    if end > len(data):
        raise ValueError("a value ends after the headers do")
    return data[at:end], end


# By the number of the type.
_READERS: Final[tuple[Callable[[bytes, int], tuple[HeaderValue, int]], ...]] = (
    lambda data, at: (True, at),
    lambda data, at: (False, at),
    _fixed(">b"),
    _fixed(">h"),
    _fixed(">i"),
    _fixed(">q"),
    _read_bytes,
    _read_text,
    _fixed(">q"),  # a timestamp
    lambda data, at: _take(data, at, 16),  # a UUID
)


def read_headers(block: bytes) -> Headers:
    """The headers in a frame's block of them. Raises UpstreamFailure if it is damaged."""
    headers: Headers = {}
    at = 0
    try:
        while at < len(block):
            name, at = _take(block, at + 1, block[at])
            headers[name.decode()], at = _READERS[block[at]](block, at + 1)
    except (IndexError, struct.error, ValueError) as error:
        raise _damaged(f"its headers are not readable: {error}") from error
    return headers


def _damaged(reason: str) -> UpstreamFailure:
    return invalid_answer(f"The upstream sent a damaged event: {reason}.")
