"""Errors as OpenAI and those who speak its dialect write them: as a body, in a 200, or as an event.

Source: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from weebill.providers.error_bodies import SAYS_NOTHING, said, said_in
from weebill.providers.failures import failure_of
from weebill.providers.signs import INSIDE, REFUSED, Sign
from weebill.wire.failure import UpstreamFailure

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
"""The meaning of codes and types that OpenAI, and those named, answer with.

Sources: https://platform.openai.com/docs/guides/error-codes, https://console.groq.com/docs/errors,
https://learn.microsoft.com/azure/ai-services/openai/reference, https://docs.mistral.ai/api,
https://platform.moonshot.ai/docs/api/chat#error-codes
"""


NO_ERROR: Final = Raw(b"null")


def body_error(status: int, body: bytes, upstream: str) -> UpstreamFailure:
    """Reads an answer with `status` other than 200: the upstream's own words and code."""
    detail = said_in(body)
    return failure_of(
        status, detail.message, upstream, code=detail.word, param=detail.param, type=detail.type, signs=SIGNS
    )


def is_error(raw: Raw) -> bool:
    """Tells whether a member `error` says that there is one."""
    return raw is not NO_ERROR and bytes(raw) not in SAYS_NOTHING


def inner_error(raw: Raw) -> UpstreamFailure:
    """Reads an error inside a 200, or inside a stream: its code may be the status that it stands for.

    More of it may be passed on.
    """
    detail = said(raw)
    code = detail.number
    status = int(code) if code is not None and 400 <= code < 600 else 200
    message = detail.message or "The upstream failed."
    failed = failure_of(status, message, "", code=detail.word, param=detail.param, type=detail.type, signs=SIGNS)
    return failed.with_more(b'{"error":%b}' % bytes(raw))
