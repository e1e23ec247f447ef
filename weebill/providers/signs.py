"""The signs of failures in upstreams' answers, as data: by which words, at which statuses, what is at fault.

A dialect puts the codes that its API documents before these, which go by how providers put it. Whoever reads them
takes out what is quoted first (`weebill.providers.failures`): no client's own words may decide what is said of a key.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.wire.failure import FailureKind, Scope

ANY: Final[frozenset[int]] = frozenset()
INSIDE: Final = frozenset({200})
"""Nowhere but in an answer, where no status says so."""
REFUSED: Final = frozenset({400, 401, 402, 403})


class Sign(NamedTuple):
    """One of `codes` (the upstream's own, its types and reasons too) or of `words` (in lower case, in its message).

    `statuses` are those at which it says so; `ANY` for all below 500. Inside an answer with status 200, it always does.
    """

    kind: FailureKind
    scope: Scope
    statuses: frozenset[int] = ANY
    codes: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()


FILTER_CODES: Final = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})
"""OpenAI's own codes for a prompt that is against its rules, in its various APIs."""

SIGNS: Final[tuple[Sign, ...]] = (
    # Another provider's words, passed on by one that asks several: which of them, nobody can know.
    Sign("forbidden", "request", frozenset({401, 402, 403}), words=("provider returned error",)),
    # Too much for what is left, or for a minute's limit; a smaller request is served as before.
    Sign("quota", "request", REFUSED, words=("fewer max_tokens", "but can only afford")),  # OpenRouter
    Sign(
        "rate_limited",
        "request",
        frozenset({402, 403, 413, 429}),
        words=(
            "request too large",  # OpenAI, Groq
            "prompt tokens limit exceeded",  # OpenRouter
            "usage is required for long context",  # Anthropic
        ),
    ),
    Sign(
        "quota",
        "key",
        REFUSED | {429},
        frozenset({"insufficient_quota"}),
        (
            "credit balance",  # Anthropic
            "insufficient_quota",  # OpenAI
            "available credits",  # xAI
            "have any credits",  # xAI
            "run out of credits",  # xAI
            "key limit exceeded",  # OpenRouter
            "monthly included credits",  # Hugging Face
            "billing hard limit",  # OpenAI
            "check your billing details on",  # OpenAI
            "account is in good standing",  # Alibaba
            "call volume quota",  # Azure
            "api calls / month",  # Cohere
        ),
    ),
    # Those who have models for nothing, too, which go on being served.
    Sign(
        "quota",
        "model",
        REFUSED | {429},
        words=(
            "insufficient balance",  # DeepSeek, Moonshot, SiliconFlow, Z.AI
            "insufficient account balance",  # One API and its like
            "insufficient credit",  # OpenRouter
            "insufficient funds",
        ),
    ),
    Sign(
        "overloaded",
        "model",
        frozenset({429}),
        words=(
            "currently overloaded",  # Moonshot, OpenAI
            "capacity exceeded for this model",  # Mistral
        ),
    ),
    Sign(
        "content_filter",
        "request",
        frozenset(range(400, 500)) - {429},
        FILTER_CODES,
        (
            "content filtering policy",  # Anthropic
            "content management policy",  # Azure
            "usage guidelines",  # xAI
            "input was flagged",  # OpenRouter
            "inappropriate content",  # Alibaba
            "data_inspection_failed",  # Alibaba
        ),
    ),
    # Where the request comes from: every key and every request is refused there.
    Sign(
        "forbidden",
        "model",
        frozenset({400, 401, 403, 451}),
        words=(
            "region, or territory not supported",  # OpenAI
            "location is not supported",  # Google
            "not available in your country",
            "not available in your region",
            "virtual network/firewall rules",  # Azure
            "public access is disabled",  # Azure
        ),
    ),
    Sign(
        "credential",
        "model",
        frozenset({400, 401, 403, 404}),
        words=(
            "not have access to model",  # OpenAI
            "you don't have access to the model",  # Bedrock
            "model access is denied",  # Bedrock
            "not authorized to perform: bedrock:",  # Bedrock
            "not authorized to access model",  # LiteLLM
            "not authorized to access this model",
            "must be verified to use the model",  # OpenAI
            "blocked at the organization level",  # Groq
            "blocked at the project level",  # Groq
        ),
    ),
    Sign(
        "credential",
        "key",
        frozenset({400, 401, 403}),
        words=(
            "incorrect api key",  # OpenAI; xAI, Alibaba with 400
            "invalid api key",
            "api key not valid",  # Google
            "api key expired",  # Google
            "reported as leaked",  # Google
            "has not been used in project",  # Google
            "organization has been disabled",  # Anthropic
            "missing scopes:",  # OpenAI
            "api key is not scoped",  # Anthropic
            "using the correct credentials",  # xAI
            "security token included in the request is",  # Bedrock: invalid, or expired
            "signature we calculated does not match",  # Bedrock
            "invalid subscription key",  # Azure
        ),
    ),
    # What only some of its customers may ask of it, such as a stream.
    Sign("unsupported", "request", frozenset({400, 403}), words=("organization must be verified to",)),  # OpenAI
    Sign(
        "context_length",
        "request",
        frozenset({400, 413, 422}),
        words=(
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
            "tokens + must be",  # Together, Text Generation Inference
        ),
    ),
    Sign(
        "not_found",
        "model",
        frozenset({400, 404}),
        words=(
            "model not exist",  # DeepSeek
            "model not found",
            "no such model",
            "unknown model",
            "is not a valid model id",  # OpenRouter
            "model identifier is invalid",  # Bedrock
        ),
    ),
)
