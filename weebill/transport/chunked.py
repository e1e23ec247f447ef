"""Decoder for the chunked transfer coding of request bodies (RFC 9112 section 7.1).

Stricter than the RFC: CRLF only, at most 16 hexadecimal digits, short extensions, few trailers. Extensions and trailers
are checked and dropped.
"""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
_MAX_LINE: Final = 256
_MAX_TRAILER_BYTES: Final = 8192
# For all chunks together, so that one-byte chunks with long extensions do not multiply a body's cost.
_MAX_EXTENSION_BYTES: Final = 16_384


class ChunkedError(ValueError):
    """The body is not valid chunked coding; the message has the reason."""


class ChunkedDecoder:
    """Takes a body's bytes in any pieces; returns the content and, at the end, the rest after the body."""

    __slots__ = ("_extension_bytes", "_line", "_remaining", "_state", "_trailer_bytes", "complete", "excess")

    def __init__(self) -> None:
        # The state is a plain function, not a bound method: no reference cycle for the collector.
        self._state = ChunkedDecoder._size
        self._line = b""
        self._remaining = 0
        self._trailer_bytes = 0
        self._extension_bytes = 0
        self.complete = False
        self.excess = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Returns the content in `data`. Raises ChunkedError if the coding is broken."""
        content: list[bytes] = []
        position = 0
        while position < len(data) and not self.complete:
            position = self._state(self, data, position, content)
        if self.complete:
            self.excess = data[position:]
        return content

    def _size(self, data: bytes, position: int, content: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        if line is not None:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise ChunkedError("invalid chunk size")
            self._extension_bytes += len(line) - match.end(1)
            if self._extension_bytes > _MAX_EXTENSION_BYTES:
                raise ChunkedError("too many chunk extensions")
            self._remaining = int(match[1], 16)
            self._state = ChunkedDecoder._content if self._remaining else ChunkedDecoder._trailer
        return position

    def _content(self, data: bytes, position: int, content: list[bytes]) -> int:
        piece = data[position : position + self._remaining]
        content.append(piece)
        self._remaining -= len(piece)
        if not self._remaining:
            self._state = ChunkedDecoder._content_end
        return position + len(piece)

    def _content_end(self, data: bytes, position: int, content: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        if line or (line is None and self._line != b"\r"):
            raise ChunkedError("a chunk is longer than its size says")
        if line is not None:
            self._state = ChunkedDecoder._size
        return position

    def _trailer(self, data: bytes, position: int, content: list[bytes]) -> int:
        line, position = self._take_line(data, position)
        if line is None:
            return position
        if not line:
            self.complete = True
            return position
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _MAX_TRAILER_BYTES or not _TRAILER.fullmatch(line):
            raise ChunkedError("invalid or too many trailers")
        return position

    def _take_line(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        """Returns the line that ends in `data`, without CRLF; None while its end has not come."""
        end = data.find(b"\n", position)
        self._line += data[position : len(data) if end < 0 else end + 1]
        if len(self._line) > _MAX_LINE:
            raise ChunkedError("a chunk's size line or a trailer is too long")
        if end < 0:
            return None, len(data)
        line, self._line = self._line, b""
        if not line.endswith(b"\r\n"):
            raise ChunkedError("a line of the chunked body does not end in CRLF")
        return line[:-2], end + 1
