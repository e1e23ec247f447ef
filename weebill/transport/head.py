"""The head of a request."""

from __future__ import annotations

from weebill.transport.coding import codings_of
from weebill.transport.headers import Headers


class Head:
    """A request's head, shared by all requests of a connection that repeat it. Immutable except for `memo`.

    `target` is as sent; `path` and `query` are its parts (without scheme, host or `?`). `headers` has lower-case names,
    `fields` the first value of each. `length` is the body's in bytes, or `CHUNKED`; `codings` are its content codings;
    `minor` is that of HTTP/1.x. `memo` lets the handler keep what depends on the head alone, except for the length.
    """

    __slots__ = (
        "codings", "fields", "headers", "keep_alive", "length", "memo", "method", "minor", "origin", "path", "query",
        "target",
    )  # fmt: skip

    def __init__(
        self,
        method: bytes,
        target: bytes,
        path: bytes,
        query: bytes,
        minor: int,
        headers: Headers,
        fields: dict[bytes, bytes],
        length: int,
        keep_alive: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.minor = minor
        self.headers = headers
        self.fields = fields
        self.length = length
        self.keep_alive = keep_alive
        self.origin = fields.get(b"origin")
        self.codings = codings_of(headers) if b"content-encoding" in fields else ()
        self.memo: object = None

    def with_length(self, length: bytes) -> Head:
        """Returns the same head with another Content-Length."""
        headers = [(name, length if name == b"content-length" else value) for name, value in self.headers]
        fields = {**self.fields, b"content-length": length}
        other = Head(
            self.method, self.target, self.path, self.query, self.minor, headers, fields, int(length), self.keep_alive
        )
        other.memo = self.memo
        return other
