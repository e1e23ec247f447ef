"""Cross-origin requests (CORS): who may call from a browser, and which headers it may see.

Keys travel in `Authorization`, and cookies are for this installation's own pages, so credentials are not allowed and
`*` is safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

_METHODS: Final = b"GET, POST, PUT, PATCH, DELETE, OPTIONS"
_EXPOSED: Final = b"access-control-expose-headers: x-request-id, retry-after, *\r\n"
_ANY: Final = b"access-control-allow-origin: *\r\n" + _EXPOSED


class Cors:
    """The policy of `server.cors_origins`."""

    __slots__ = ("_any", "_origins")

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = {origin.encode() for origin in origins}
        self._any = b"*" in self._origins

    def lines(self, origin: bytes) -> bytes:
        """Returns the header lines of a response to a page of that origin; a page that is not allowed gets none."""
        if self._any:
            return _ANY
        if origin in self._origins:
            return b"access-control-allow-origin: %b\r\nvary: origin\r\n%b" % (origin, _EXPOSED)
        return b"vary: origin\r\n"

    def allows(self, origin: bytes) -> bool:
        return self._any or origin in self._origins


def preflight_lines(fields: Mapping[bytes, bytes]) -> bytes:
    """Returns the header lines for an allowed preflight: every method, and the requested headers (`*` would not cover
    keys).
    """
    asked = fields.get(b"access-control-request-headers")
    allowed = b"access-control-allow-headers: %b\r\n" % asked if asked else b""
    if fields.get(b"access-control-request-private-network") == b"true":
        # Browsers ask for this if a public page calls a gateway in a private network.
        allowed += b"access-control-allow-private-network: true\r\n"
    return b"access-control-allow-methods: %b\r\n%baccess-control-max-age: 86400\r\n" % (_METHODS, allowed)
