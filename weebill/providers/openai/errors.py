"""Errors as OpenAI and those who speak its dialect write them: as a body, in a 200, or as an event.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.errors import provider_error
from weebill.wire.errors import UNREADABLE, ApiError

_MESSAGE_LIMIT: Final = 2000
# Codes that repeat the status.
_BY_STATUS: Final = frozenset({"rate_limit_exceeded", "upstream_overloaded"})


class ErrorDetail(Struct, frozen=True):
    """The inner object; `code` may be a word, or repeat a status."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | float | None = None

    @property
    def word(self) -> str | None:
        """The code, if it is one of words: a status repeated tells nothing."""
        return self.code if isinstance(self.code, str) and not self.code.isdigit() else None


class _ErrorBody(Struct, frozen=True):
    error: ErrorDetail | str | None = None
    message: str | None = None
    detail: Raw = Raw(b"null")


_decode = msgspec.json.Decoder(_ErrorBody).decode


def body_error(status: int, body: bytes, upstream: str) -> ApiError:
    """What the client is told of an answer with `status` other than 200: the upstream's own words and code."""
    detail = _detail(body)
    error = provider_error(status, detail.message, upstream, code=detail.word, param=detail.param, type=detail.type)
    if detail.word is None or error.detail.code not in _BY_STATUS:
        return error
    # The code is in OpenAI's words already, and says more than the status does.
    return ApiError(
        error.status,
        error.detail.message,
        code=detail.word,
        param=detail.param,
        type=detail.type,
        retry_after=error.retry_after,
    )


def inner_error(error: ErrorDetail | str) -> ApiError:
    """What an error inside a 200, or inside a stream, means: its code may be the status that it stands for."""
    detail = ErrorDetail(error) if isinstance(error, str) else error
    code = int(detail.code) if isinstance(detail.code, str) and detail.code.isdigit() else detail.code
    status = int(code) if isinstance(code, int | float) and 400 <= code < 600 else 502
    message = detail.message or "The upstream failed."
    return provider_error(status, message, "", code=detail.word, param=detail.param, type=detail.type)


def _detail(body: bytes) -> ErrorDetail:
    """What an error body says, in the shapes that are common among OpenAI-compatible servers."""
    try:
        decoded = _decode(body)
    except UNREADABLE:
        return ErrorDetail(body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip() or None)
    if isinstance(decoded.error, ErrorDetail):
        return decoded.error
    if decoded.error is not None:
        return ErrorDetail(decoded.error)
    detail = bytes(decoded.detail)
    if decoded.message is None and detail != b"null":
        return ErrorDetail(detail[:_MESSAGE_LIMIT].decode("utf-8", "replace"))
    return ErrorDetail(decoded.message)
