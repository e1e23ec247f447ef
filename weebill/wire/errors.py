"""Errors in OpenAI's format: `{"error": {"message", "type", "param", "code"}}`.

Source: https://platform.openai.com/docs/guides/error-codes/api-errors
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Self

import msgspec
from msgspec import Raw

from weebill.wire.literals import EMPTY

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The exceptions that reading JSON from outside can raise; `Raw` parts are checked for UTF-8 when they are read."""

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


# Statuses of what no retry mends: SDKs repeat some of them otherwise, Claude Code a 401 ten times.
_FINAL: Final = frozenset({400, 401, 402, 403, 404, 405, 411, 413, 414, 415, 422, 431, 501})
_FINAL_CODES: Final = frozenset({"insufficient_quota", "limit_too_small", "upstream_credential_refused"})
# What an upstream says beyond the members of `ErrorDetail`, as far as it is passed on.
_MAX_DETAILS: Final = 16
_MAX_DETAIL_BYTES: Final = 8192


class ErrorDetail(msgspec.Struct, frozen=True):
    """The inner object of an error body; `param` names the offending field where there is one."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """A whole error body."""

    error: ErrorDetail


class _UpstreamBody(msgspec.Struct, frozen=True):
    error: dict[str, Raw] = {}


_decode_upstream: Final = msgspec.json.Decoder(_UpstreamBody).decode


class ApiError(Exception):
    """A request that ends in an error for the client.

    `retry_after` is in seconds and becomes a `Retry-After` header, rounded up; `allow` names the methods of a 405.
    `more` are further members of an upstream's error, as JSON; `request_id` is for APIs whose errors name it.
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
        self.more: Mapping[str, Raw] = {}
        self.request_id: str | None = None

    def saying(self, message: str) -> ApiError:
        """This error in other words."""
        detail = self.detail
        error = ApiError(
            self.status, message, code=detail.code, param=detail.param, type=detail.type,
            retry_after=self.retry_after, allow=self.allow,
        )  # fmt: skip
        error.more = self.more
        return error

    def about(self, param: str) -> Self:
        """This error, with the client's own name for the field that it is about."""
        self.detail = msgspec.structs.replace(self.detail, param=param)
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
        if self.status in _FINAL or self.detail.code in _FINAL_CODES:
            lines += b"x-should-retry: false\r\n"
        return lines

    def body(self) -> bytes:
        """The JSON body to answer with."""
        if self.more:
            return msgspec.json.encode({"error": {**msgspec.structs.asdict(self.detail), **self.more}})
        return msgspec.json.encode(ErrorBody(self.detail))


class OverLimit(ApiError):  # noqa: N818 - a state rather than an error
    """A limit of the client's own does not admit a call; one that may take less is still possible."""


def invalid_value(param: str, reason: str) -> ApiError:
    """The error for a field that holds what nobody could be asked for."""
    return ApiError(400, f"Invalid value for '{param}': {reason}.", code="invalid_value", param=param)


def missing_parameter(param: str) -> ApiError:
    """The error for a field that has to be there and is not."""
    return ApiError(400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def more_of(body: bytes) -> dict[str, Raw]:
    """The members of an upstream's error that `ErrorDetail` has not, such as Groq's `failed_generation`.

    A long one is cut, and is text then.
    """
    try:
        members = _decode_upstream(body).error
    except UNREADABLE:
        return {}
    found: dict[str, Raw] = {}
    for name, value in members.items():
        text = bytes(value)
        if name in ErrorDetail.__struct_fields__ or text in EMPTY or len(found) == _MAX_DETAILS:
            continue
        try:
            said = text.decode()
        except UnicodeDecodeError:
            continue
        if len(text) > _MAX_DETAIL_BYTES:
            found[name] = Raw(msgspec.json.encode(f"{said[:_MAX_DETAIL_BYTES]}…"))
        else:
            found[name] = Raw(text)
    return found


def error_type(status: int) -> str:
    """OpenAI's error type for an HTTP status."""
    return _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")
