"""Parses the heads of the requests on one connection: llhttp, then the checks of `request`."""

from __future__ import annotations

import re
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from weebill.transport.head import Head
from weebill.transport.headers import END_OF_HEAD, Headers
from weebill.transport.limits import MAX_HEADER_FIELDS
from weebill.transport.request import bad_request, check_host, framing, index_fields, minor_version, split_target
from weebill.wire.errors import ApiError

# Allowed before a request (RFC 9112 section 2.2). Matched at once: a flood would otherwise cost quadratic time.
_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)++")
_REQUEST_LINE: Final = re.compile(rb"[A-Z]{1,20} (/[^ ]{0,1000})")
_SPENT: Final = HttpRequestParser(None)
_LENGTH_FIELD: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)
_MOST_DIGITS: Final = 15
_LONGEST_REMEMBERED: Final = 4096


class RequestParser:
    """Finds the end of each head itself and lets llhttp confirm it, so that exactly one request is taken at a time.

    A client that keeps its connection repeats its head, except for the length of the body; such a head is not parsed
    again. After `read_head()` has returned the rest, `head` is valid until the next call. Refusals are ApiErrors.
    """

    __slots__ = (
        "_after_length", "_before_length", "_buffer", "_head_done", "_headers", "_host", "_keep_alive", "_length",
        "_llhttp", "_message_done", "_method", "_repeated", "_target", "head",
    )  # fmt: skip

    head: Head

    def __init__(self) -> None:
        self._llhttp = HttpRequestParser(self)
        self._buffer = b""
        self._head_done = False
        self._message_done = False
        self._host: bytes | None = None
        # The last head: up to the value of its Content-Length, that value, and the rest; empty if it cannot be reused.
        self._before_length = b""
        self._length = b""
        self._after_length = b""
        self._repeated = False
        # Found by llhttp in the current head
        self._method = b""
        self._target = b""
        self._headers: Headers = []
        self._keep_alive = False

    @property
    def in_head(self) -> bool:
        """True if a head has begun and not ended."""
        return bool(self._buffer)

    @property
    def path(self) -> bytes:
        """The path of the current head, as far as it has been read, or of the last one."""
        return self._target.partition(b"?")[0]

    @property
    def fields(self) -> dict[bytes, bytes]:
        """The fields of the same head."""
        return dict(self._headers)

    def read_head(self, data: bytes, limit: int) -> bytes | None:
        """Takes one head of at most `limit` bytes from `data`; returns the rest, or None if the head has not ended."""
        before = self._before_length
        if before and data.startswith(before) and not self._buffer:
            start = len(before)
            end = data.find(b"\r", start)
            length = data[start:end]
            if data.startswith(self._after_length, end):
                known = length == self._length
                after = end + len(self._after_length)
                if (known or (length.isdigit() and len(length) <= _MOST_DIGITS)) and after <= limit:
                    if not known:
                        self.head = self.head.with_length(length)
                        self._length = length
                    self._repeated = True
                    return data[after:]
        self._before_length = b""
        fed = len(self._buffer)
        if fed:
            data = self._buffer + data
        else:
            self._target = b""
            self._headers = []
        if empty := _EMPTY_LINES.match(data):
            data = data[empty.end() :]
            fed = max(fed - empty.end(), 0)
        end = data.find(END_OF_HEAD, max(fed - 3, 0)) + 4
        if end > limit or (end == 3 and len(data) > limit):
            if line := _REQUEST_LINE.match(data):
                self._target = line[1]
            raise ApiError(431, f"The request's head exceeds {limit} bytes.", code="headers_too_large")
        if end == 3:
            self._buffer = data
            self._feed(data[fed:])
            if self._head_done:
                raise bad_request("Malformed request: its head ends twice.")
            return None
        self._buffer = b""
        self._feed(data[fed:end])
        if not self._head_done:
            raise bad_request("Malformed request: its head has no end.")
        self._head_done = False
        self._check(data)
        if not fed and end <= _LONGEST_REMEMBERED:
            self._remember(data[:end])
        return data[end:]

    def _remember(self, head: bytes) -> None:
        """Keeps a head with a Content-Length, to compare the next one with."""
        length = self.head.fields.get(b"content-length")
        field = _LENGTH_FIELD.search(head)
        if length is not None and field is not None and length == field[1] and self._keep_alive:
            self._before_length = head[: field.start(1)]
            self._length = length
            self._after_length = head[field.end(1) :]

    def end_body(self, body: bytes | None) -> None:
        """Notes the end of the request; `body` is None if the body is read elsewhere."""
        if self._repeated:  # llhttp has not seen this request
            self._repeated = False
            return
        if body and not self._message_done:
            self._feed(body)
        if not self._message_done:
            if body is not None:
                raise bad_request("Malformed request: its end is ambiguous.")
            # llhttp still waits for a body that it will not see.
            self._llhttp = HttpRequestParser(self)
        self._message_done = False

    def close(self) -> None:
        """Breaks the reference cycle of llhttp and its callbacks, so that the collector need not."""
        self._llhttp = _SPENT

    def _feed(self, data: bytes) -> None:
        try:
            self._llhttp.feed_data(data)
        except HttpParserUpgrade:
            # llhttp takes the rest for another protocol. The handler decides on that; the request's body, if it has
            # one, is not part of it (RFC 9110 section 7.8).
            self._llhttp = HttpRequestParser(self)
        except HttpParserError as error:
            raise bad_request(f"Malformed HTTP: {error}.") from None

    def _check(self, head: bytes) -> None:
        headers = self._headers
        if len(headers) > MAX_HEADER_FIELDS:
            raise ApiError(431, f"More than {MAX_HEADER_FIELDS} header fields.", code="headers_too_large")
        method, target = self._method, self._target
        minor = minor_version(method, target, head)
        fields = index_fields(headers)
        host = fields.get(b"host")
        if host is None or host != self._host:
            check_host(fields, minor)
            self._host = host
        length = framing(fields, minor)
        path, query = split_target(method, target)
        expect = fields.get(b"expect")
        if expect is not None and expect.lower() != b"100-continue":
            raise ApiError(417, "The only expectation met here is '100-continue'.", code="expectation_failed")
        self.head = Head(method, target, path, query, minor, headers, fields, length, self._keep_alive)

    # Callbacks of llhttp

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        self._head_done = True
        self._method = self._llhttp.get_method()
        self._keep_alive = self._llhttp.should_keep_alive()

    def on_message_complete(self) -> None:
        self._message_done = True
