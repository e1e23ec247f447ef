"""Errors as Google writes them.

Source: https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.wire.errors import ApiError
from weebill.wire.gemini import ErrorDetail, ErrorResponse, FieldViolation, Status

# Source: https://cloud.google.com/apis/design/errors#handling_errors
_STATUSES: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 402: "FAILED_PRECONDITION", 403: "PERMISSION_DENIED",
    404: "NOT_FOUND", 405: "UNIMPLEMENTED", 408: "DEADLINE_EXCEEDED", 409: "ABORTED", 413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT", 417: "INVALID_ARGUMENT", 422: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 502: "UNAVAILABLE",
    503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_RPC: Final = "type.googleapis.com/google.rpc."
_DOMAIN: Final = "weebill"


def error_body(error: ApiError) -> bytes:
    """`{"error": {"code", "message", "status", "details"}}`, with the field, the code and the wait as details."""
    detail = error.detail
    details = []
    if detail.code is not None or error.more:
        reason = (detail.code or "upstream_error").upper()
        more = {name: bytes(value).decode() for name, value in error.more.items()} or None
        details.append(ErrorDetail(type=f"{_RPC}ErrorInfo", reason=reason, domain=_DOMAIN, metadata=more))
    if detail.param is not None:
        violation = FieldViolation(field=detail.param, description=detail.message)
        details.append(ErrorDetail(type=f"{_RPC}BadRequest", field_violations=[violation]))
    if error.retry_after is not None:
        details.append(ErrorDetail(type=f"{_RPC}RetryInfo", retry_delay=f"{error.retry_after:g}s"))
    status = _STATUSES.get(error.status) or ("INTERNAL" if error.status >= 500 else "FAILED_PRECONDITION")
    return msgspec.json.encode(
        ErrorResponse(error=Status(code=error.status, message=detail.message, status=status, details=details or None))
    )
