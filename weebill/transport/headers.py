"""Header fields, as pairs of bytes with names in lower case."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Headers = list[tuple[bytes, bytes]]

# RFC 9110 section 7.6.1, and older names that proxies must not forward either.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


END_OF_HEAD: Final = b"\r\n\r\n"


def parse_fields(head: bytes) -> Headers:
    """Returns the fields in a head that llhttp has accepted, without its blank line."""
    fields: Headers = []
    for line in head.split(b"\r\n")[1:]:
        if line[:1] in (b" ", b"\t"):  # an obsolete folding continues the field before it
            name, value = fields[-1]
            fields[-1] = (name, value + b" " + line.strip())
        else:
            name, _, value = line.partition(b":")
            fields.append((name.lower(), value.strip()))
    return fields


def end_to_end(headers: Headers) -> Headers:
    """Returns the fields without hop-by-hop fields and those that `Connection` names."""
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return [(name, value) for name, value in headers if name not in HOP_BY_HOP and name not in named]


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Returns the fields as lines, each ended by CRLF."""
    return b"".join([b"%b: %b\r\n" % field for field in headers])


def first(headers: Headers, name: bytes) -> bytes | None:
    """Returns the first value of a field."""
    for known, value in headers:
        if known == name:
            return value
    return None
