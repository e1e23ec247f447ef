"""Checks a request's head beyond what llhttp checks. Pure functions; refusals are ApiErrors.

llhttp refuses Content-Length with Transfer-Encoding, duplicate or malformed lengths, obsolete folding, space before a
colon, bare CR or LF, and NULs. Checked here: more than one Host, unknown transfer codings, chunked on HTTP/1.0, other
protocols and versions, and targets that two parsers could read differently.
"""

from __future__ import annotations

import re
from typing import Final

from weebill.transport.headers import Headers
from weebill.wire.errors import ApiError

# The `framing()` of a body whose length is known only at its end.
CHUNKED: Final = -1

# With a second one of these, two servers could see two different requests.
_SINGLE: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"authorization", b"expect"})
_HOST: Final = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*")
_ABSOLUTE: Final = re.compile(rb"https?://[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]+(/[^#]*|\?[^#]*)?", re.IGNORECASE)


def bad_request(message: str) -> ApiError:
    """Returns the refusal of invalid HTTP/1.1."""
    return ApiError(400, message, code="invalid_http")


def minor_version(method: bytes, target: bytes, head: bytes) -> int:
    """Returns the 0 or 1 of HTTP/1.x; refuses anything but single spaces around the target."""
    line = b"%b %b HTTP/1." % (method, target)
    if head.startswith(line):
        version = head[len(line)]
        if version == 0x31:
            return 1
        if version == 0x30:
            return 0
    raise bad_request("Malformed request line: only HTTP/1.1 and HTTP/1.0 are spoken here.")


def index_fields(headers: Headers) -> dict[bytes, bytes]:
    """Returns the first value of each field; refuses repetitions of a field that may occur only once."""
    fields = dict(headers)
    if len(fields) != len(headers):
        seen = set()
        for name, _ in headers:
            if name in seen and name in _SINGLE:
                raise bad_request(f"The header {name.decode()!r} occurs more than once.")
            seen.add(name)
        fields = dict(reversed(headers))
    return fields


def check_host(fields: dict[bytes, bytes], minor: int) -> None:
    """Refuses an HTTP/1.1 request without a valid Host."""
    host = fields.get(b"host")
    if host is None:
        if minor:
            raise bad_request("The header 'host' is missing.")
    elif not _HOST.fullmatch(host):
        raise bad_request("The header 'host' is malformed.")


def framing(fields: dict[bytes, bytes], minor: int) -> int:
    """Returns the length of the body in bytes, or CHUNKED."""
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise bad_request("Content-Length and Transfer-Encoding exclude each other.")
        if coding.lower() != b"chunked" or not minor:
            raise bad_request("The only transfer coding spoken here is 'chunked', on HTTP/1.1.")
        return CHUNKED
    if length is None:
        return 0
    if not length.isdigit():
        raise bad_request("The header 'content-length' is not a number.")
    return int(length)


def split_target(method: bytes, target: bytes) -> tuple[bytes, bytes]:
    """Returns path and query of a request target in origin, absolute or (OPTIONS only) asterisk form."""
    if target[:1] != b"/":
        if target == b"*" and method == b"OPTIONS":
            return b"*", b""
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise bad_request("Malformed request target.")
        target = absolute[1] or b"/"
        if target[:1] == b"?":
            target = b"/" + target
    elif b"#" in target:
        raise bad_request("A request target has no fragment.")
    path, _, query = target.partition(b"?")
    return path, query
