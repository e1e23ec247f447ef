"""Checks the head of an upstream's answer, beyond what llhttp checks."""

from __future__ import annotations

from weebill.transport.errors import UpstreamProtocolError
from weebill.transport.headers import Headers, first
from weebill.transport.limits import MAX_HEADER_FIELDS, MAX_RESPONSE_HEAD_BYTES


def refusal(status: int, headers: Headers, asked: bytes, switches: bool) -> str | None:
    """Returns the reason to refuse an answer, None if it is valid. `asked` is the request's head; `switches` is True if
    the answer ends HTTP.
    """
    if not 100 <= status < 600:
        return f"the upstream answered with the impossible status {status}"
    if len(headers) > MAX_HEADER_FIELDS:
        return f"the upstream's answer has more than {MAX_HEADER_FIELDS} header fields"
    coding = first(headers, b"transfer-encoding")
    if coding is not None and coding.lower() != b"chunked":
        return "the upstream's answer has an unknown transfer coding"
    if status == 101 and not (switches and b"\r\nupgrade:" in asked.lower()):
        return "the upstream switched protocols without having been asked to"
    return None


def too_long() -> UpstreamProtocolError:
    return UpstreamProtocolError(f"the head of the upstream's answer exceeds {MAX_RESPONSE_HEAD_BYTES} bytes")
