"""The request to an upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weebill.wire.conversation import Conversation

_JSON: Final = b"content-type: application/json\r\n"
_NO_TOOLS: Final[Mapping[str, str]] = {}


class UpstreamRequest:
    """`method` and `path` below the provider's base URL, with query; `headers` are lines, each ended by CRLF.

    Without `host`, credentials and framing, which are put in where the request is sent. `dropped` are the fields of
    the client's request that were passed over, by the client's names. Whoever reads the answer needs `asked`, the
    conversation as it was written (None where bytes passed through), `tools`, the client's names of the tools that go
    by another there, `maker`, whose what is opaque in it will be, and `stops`, where the answer is yet to be ended.
    `keep_s` are the seconds that a model of this machine is to stay in memory afterwards, None for the usual ones.
    """

    __slots__ = ("asked", "body", "dropped", "headers", "keep_s", "maker", "method", "path", "stops", "tools")

    def __init__(
        self,
        path: bytes,
        body: bytes,
        headers: bytes = _JSON,
        dropped: tuple[str, ...] = (),
        asked: Conversation | None = None,
        tools: Mapping[str, str] = _NO_TOOLS,
        maker: str = "",
        stops: tuple[str, ...] = (),
        method: bytes = b"POST",
        keep_s: float | None = None,
    ) -> None:
        self.method = method
        self.keep_s = keep_s
        self.path = path
        self.body = body
        self.headers = headers
        self.dropped = dropped
        self.asked = asked
        self.tools = tools
        self.maker = maker
        self.stops = stops

    def replaced(
        self, *, path: bytes | None = None, body: bytes | None = None, dropped: tuple[str, ...] | None = None
    ) -> UpstreamRequest:
        """The same, but for what is given."""
        return UpstreamRequest(
            self.path if path is None else path,
            self.body if body is None else body,
            self.headers,
            self.dropped if dropped is None else dropped,
            self.asked,
            self.tools,
            self.maker,
            self.stops,
            self.method,
            self.keep_s,
        )


NOTHING_SENT: Final = UpstreamRequest(b"", b"")
"""For who reads an answer without there having been a request."""
