"""Errors as OpenAI and those who speak its dialect write them: as a body, in a 200, or as an event.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.failures import failure_of
from weebill.providers.signs import INSIDE, REFUSED, Sign
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure
from weebill.wire.lenient import leniently

_MESSAGE_LIMIT: Final = 2000
SIGNS: Final = (
    Sign(
        "quota",
        "key",
        REFUSED | {429},
        frozenset(
            {
                "Arrearage",  # Alibaba
                "billing_hard_limit_reached",
                "billing_not_active",
                "exceeded_current_quota_error",  # Moonshot
                "insufficient_quota",
            }
        ),
    ),
    Sign("quota", "model", frozenset({403, 429}), frozenset({"AllocationQuota.FreeTierOnly"})),  # Alibaba
    Sign("overloaded", "model", frozenset({429}), frozenset({"engine_overloaded", "engine_overloaded_error"})),
    Sign(
        "forbidden",
        "model",
        frozenset({403}),
        frozenset({"unsupported_country_region_territory", "request_forbidden"}),
    ),
    # The key is good, the model is not for it; with 404 it may not even be there.
    Sign(
        "credential",
        "model",
        frozenset({401, 403}),
        frozenset(
            {
                "model_not_found",
                "model_permission_blocked_org",  # Groq
                "model_permission_blocked_project",  # Groq
            }
        ),
    ),
    Sign(
        "credential",
        "key",
        frozenset({400, 401, 403}),
        frozenset({"account_deactivated", "invalid_api_key", "ip_not_authorized"}),
    ),
    Sign(
        "not_found",
        "model",
        frozenset({400, 404}),
        frozenset(
            {
                "DeploymentNotFound",  # Azure
                "invalid_model",  # Mistral
                "model_decommissioned",  # Groq
                "model_not_found",
            }
        ),
    ),
    Sign("context_length", "request", frozenset({400, 413, 422}), frozenset({"context_length_exceeded"})),
    Sign("rate_limited", "model", INSIDE, frozenset({"rate_limit_exceeded", "too_many_requests"})),
    Sign("rate_limited", "request", frozenset({413}), frozenset({"rate_limit_exceeded"})),
)
"""What the codes and types mean that OpenAI, and those named, answer with.

Sources: https://platform.openai.com/docs/guides/error-codes, https://console.groq.com/docs/errors,
https://learn.microsoft.com/azure/ai-services/openai/reference, https://docs.mistral.ai/api,
https://platform.moonshot.ai/docs/api/chat#error-codes
"""


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


NO_ERROR: Final = Raw(b"null")
_NONE: Final = frozenset({b"null", b"false", b'""', b"{}", b"[]"})


class _AnyDetail(Struct, frozen=True):
    """The members of an error that say something, however deep in it they are."""

    message: str | None = None
    msg: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | float | None = None
    error: Raw = NO_ERROR
    detail: Raw = NO_ERROR


class _ErrorBody(Struct, frozen=True):
    error: Raw = NO_ERROR
    message: str | None = None
    type: str | None = None
    code: str | int | float | None = None
    detail: Raw = NO_ERROR


def body_error(status: int, body: bytes, upstream: str) -> UpstreamFailure:
    """What the client is told of an answer with `status` other than 200: the upstream's own words and code."""
    detail = _detail(body)
    return failure_of(
        status, detail.message, upstream, code=detail.word, param=detail.param, type=detail.type, signs=SIGNS
    )


def is_error(raw: Raw) -> bool:
    """Tells whether a member `error` says that there is one."""
    return raw is not NO_ERROR and bytes(raw) not in _NONE


def inner_error(raw: Raw) -> UpstreamFailure:
    """What an error inside a 200, or inside a stream, means: its code may be the status that it stands for.

    More of it may be passed on.
    """
    detail = _said(raw)
    code = int(detail.code) if isinstance(detail.code, str) and detail.code.isdigit() else detail.code
    status = int(code) if isinstance(code, int | float) and 400 <= code < 600 else 200
    message = detail.message or "The upstream failed."
    failed = failure_of(status, message, "", code=detail.word, param=detail.param, type=detail.type, signs=SIGNS)
    return failed.with_more(b'{"error":%b}' % bytes(raw))


def _said(raw: Raw) -> ErrorDetail:
    """What an error says, in whatever shape: text, an object, one inside another, a list."""
    text = bytes(raw)
    try:
        if text[:1] == b'"':
            return ErrorDetail(msgspec.json.decode(raw, type=str))
        if text[:1] == b"[":
            entries = msgspec.json.decode(raw, type=list[Raw])
            return _said(entries[0]) if len(entries) == 1 else ErrorDetail(_shown(text))
        found = leniently(text, _AnyDetail)
    except UNREADABLE:
        return ErrorDetail(_shown(text))
    message = found.message or found.msg
    if message is None:
        for inner in (found.error, found.detail):
            if is_error(inner):
                said = _said(inner)
                return ErrorDetail(said.message, said.type or found.type, said.param, said.code or found.code)
    return ErrorDetail(message, found.type, found.param, found.code)


def _shown(text: bytes) -> str | None:
    return text[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip() or None


def _detail(body: bytes) -> ErrorDetail:
    """What an error body says, in the shapes that are common among OpenAI-compatible servers."""
    try:
        decoded = leniently(body, _ErrorBody)
    except UNREADABLE:
        text = body.strip()
        return _said(Raw(text)) if text[:1] in (b"[", b'"') else ErrorDetail(_shown(text))
    if is_error(decoded.error):
        return _said(decoded.error)
    if decoded.message is None and is_error(decoded.detail):
        detail = bytes(decoded.detail)
        return ErrorDetail(_shown(detail)) if detail[:1] == b"[" else _said(decoded.detail)
    return ErrorDetail(decoded.message, decoded.type, None, decoded.code)
