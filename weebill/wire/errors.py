"""Errors in OpenAI's format: `{"error": {"message", "type", "param", "code"}}`.

Source: https://platform.openai.com/docs/guides/error-codes/api-errors
"""

from __future__ import annotations

import math
from typing import Final, Self

import msgspec

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading JSON from outside can raise; `Raw` parts of it are not checked for UTF-8 until they are read."""

# The `type` that OpenAI uses with each status; other 4xx are invalid requests, other 5xx server errors.
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}


class ErrorDetail(msgspec.Struct, frozen=True):
    """The inner object of an error body; `param` names the offending field where there is one."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """A whole error body."""

    error: ErrorDetail


class ApiError(Exception):
    """A request that ends in an error for the client.

    `retry_after` is in seconds and becomes a `Retry-After` header, rounded up; `allow` names the methods of a 405.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str | None = None,  # noqa: A002 - OpenAI's own field name
        retry_after: float | None = None,
        allow: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = ErrorDetail(message, type or error_type(status), param, code)
        self.retry_after = retry_after
        self.allow = allow

    def after(self, seconds: float | None) -> Self:
        """This error, with the wait that is known from elsewhere, if one is."""
        if seconds is not None:
            self.retry_after = seconds
        return self

    def headers(self) -> bytes:
        """The header lines that go with the body, each ended by CRLF."""
        lines = b"content-type: application/json\r\n"
        if self.retry_after is not None:
            lines += b"retry-after: %d\r\n" % math.ceil(self.retry_after)
        if self.allow is not None:
            lines += b"allow: %b\r\n" % self.allow.encode()
        if self.status == 401:
            lines += b"www-authenticate: Bearer\r\n"
        return lines

    def body(self) -> bytes:
        """The JSON body to answer with."""
        return msgspec.json.encode(ErrorBody(self.detail))


def error_type(status: int) -> str:
    """OpenAI's error type for an HTTP status."""
    return _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
