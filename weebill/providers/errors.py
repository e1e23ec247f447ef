"""What a client is told when an upstream answers with an error, whatever the upstream's API."""

from __future__ import annotations

from typing import Final

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
    `upstream` is its name in the configuration, "" where that is not known.
    """
    whose = f"The upstream '{upstream}'" if upstream else "The upstream"
    said = message or f"{whose} answered with status {status}."
    if status in (401, 402, 403):
        # The credential is the operator's, so the client must not take this for its own key's fault.
        reason = f"{whose} refused Weebill's credential (status {status}): {said}"
        return ApiError(502, reason, code="upstream_credential_refused")
    if status < 400:
        return ApiError(502, said, code="upstream_error")
    if status in (503, 529):
        return ApiError(503, said, code="upstream_overloaded")
    if status >= 500:
        return ApiError(status, said, code=code or "upstream_error", param=param, type=type)
    return ApiError(status, said, code=_client_code(status, said.lower(), code), param=param, type=type)


def _client_code(status: int, said: str, code: str | None) -> str | None:
    """OpenAI's code for a 4xx."""
    if status == 429:
        # The other reason that OpenAI has for this status, which no waiting helps against.
        return "insufficient_quota" if code == "insufficient_quota" else "rate_limit_exceeded"
    if status == 404 and "model" in said and any(words in said for words in _NO_SUCH):
        return "model_not_found"
    if status in (400, 422) and any(words in said for words in _OVERFLOW):
        return "context_length_exceeded"
    return code
