"""What a client is told when an upstream answers with an error, whatever the upstream's API."""

from __future__ import annotations

from typing import Final

from weebill.providers import waits
from weebill.wire.errors import ApiError

# How providers say that a prompt is longer than the model's window, in lower case.
_OVERFLOW: Final = (
    "maximum context length",  # OpenAI, DeepSeek, Mistral, OpenRouter, vLLM
    "context window",  # OpenAI's Responses, Cerebras
    "context length",  # Groq, Fireworks
    "context limit",  # Anthropic
    "context size",  # llama.cpp
    "prompt is too long",  # Anthropic
    "input is too long",  # Bedrock
    "too many input tokens",  # Bedrock
    "too many tokens",  # Cohere
    "input token count",  # Gemini
    "maximum prompt length",  # xAI
    "reduce the length of the",  # Groq, Azure
    "tokens + `max_new_tokens` must be",  # Together, Text Generation Inference
)
# That the operator's account has run dry, whatever the status: Anthropic says it with 400, xAI with 403, Z.AI with 429.
_NO_CREDIT: Final = (
    "credit balance",  # Anthropic
    "insufficient balance",  # DeepSeek, Moonshot, SiliconFlow, Z.AI
    "insufficient credit",  # OpenRouter
    "insufficient funds",
    "insufficient_quota",  # OpenAI
    "available credits",  # xAI
    "monthly included credits",  # Hugging Face
    "billing hard limit",  # OpenAI
    "account is in good standing",  # Alibaba
)
# That what is said is against the provider's rules; some answer as if the credential were at fault.
_FILTERED: Final = (
    "content filtering policy",  # Anthropic
    "content management policy",  # Azure
    "usage guidelines",  # xAI
    "input was flagged",  # OpenRouter
    "inappropriate content",  # Alibaba
    "data_inspection_failed",  # Alibaba
)
FILTER_CODES: Final = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})
"""OpenAI's own codes for that, in its various APIs."""
_BAD_KEY: Final = ("incorrect api key", "invalid api key")  # xAI, Alibaba: with 400
_NO_SUCH: Final = ("not found", "not exist", "not_found", "no such", "unknown model", "not supported")


def provider_error(
    status: int,
    message: str | None,
    upstream: str,
    *,
    code: str | None = None,
    param: str | None = None,
    type: str | None = None,  # noqa: A002 - OpenAI's own field name
) -> ApiError:
    """The error for a provider's answer with `status`, or one that it sent inside a 200.

    `message`, `code`, `param` and `type` are the provider's own where it has them; `type` only in OpenAI's words.
    `upstream` is its name in the configuration, "" where that is not known. A wait that the message asks for is kept.
    """
    whose = f"The upstream '{upstream}'" if upstream else "The upstream"
    said = message or f"{whose} answered with status {status}."
    lower = said.lower()
    if status == 402 or (400 <= status < 500 and (code == "insufficient_quota" or _any(_NO_CREDIT, lower))):
        # As OpenAI answers its own customers; no waiting helps.
        return ApiError(429, said, code="insufficient_quota")
    if 400 <= status < 500 and status != 429 and (code in FILTER_CODES or _any(_FILTERED, lower)):
        return ApiError(400, said, code=code if code in FILTER_CODES else "content_filter", param=param, type=type)
    if status in (401, 403) or (status == 400 and _any(_BAD_KEY, lower)):
        # The credential is the operator's, so the client must not take this for its own key's fault.
        reason = f"{whose} refused Weebill's credential (status {status}): {said}"
        return ApiError(502, reason, code="upstream_credential_refused")
    if status < 400:
        return ApiError(502, said, code="upstream_error")
    if status in (503, 529):
        return ApiError(503, said, code="upstream_overloaded", retry_after=waits.said(said))
    if status >= 500:
        unnamed = "upstream_timeout" if status == 504 else "upstream_error"
        return ApiError(status, said, code=code or unnamed, param=param, type=type)
    if status == 429:
        return ApiError(429, said, code="rate_limit_exceeded", param=param, type=type, retry_after=waits.said(said))
    return ApiError(status, said, code=_client_code(status, lower, code), param=param, type=type)


def _client_code(status: int, said: str, code: str | None) -> str | None:
    """OpenAI's code for a 4xx."""
    if status == 404 and "model" in said and _any(_NO_SUCH, said):
        return "model_not_found"
    if status in (400, 422) and _any(_OVERFLOW, said):
        return "context_length_exceeded"
    return code


def _any(words: tuple[str, ...], said: str) -> bool:
    return any(word in said for word in words)
