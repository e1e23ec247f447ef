"""What a client is told of a provider's error, whatever its API."""

import pytest

from weebill.gateway.failures import client_error
from weebill.providers.failures import failure_of

OVERFLOWS = [
    "This model's maximum context length is 8192 tokens.",
    "Your input exceeds the context window of this model.",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Input is too long for requested model.",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081",
    "Please reduce the length of the messages or completion.",
    "the request exceeds the available context size (2048 tokens)",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097",
    "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
]


@pytest.mark.parametrize("message", OVERFLOWS)
def test_a_prompt_that_is_too_long_has_openais_code(message: str) -> None:
    error = client_error(failure_of(400, message, "acme", code="INVALID_ARGUMENT"))
    assert (error.status, error.detail.code, error.detail.message) == (400, "context_length_exceeded", message)


@pytest.mark.parametrize(
    ("status", "message", "code", "told", "said"),
    [
        (400, "temperature is too high", "bad", 400, "bad"),
        (402, "pay", None, 429, "insufficient_quota"),
        (400, "Incorrect API key provided: sk-1.", None, 502, "upstream_credential_refused"),
        (403, "Content violates usage guidelines.", None, 400, "content_filter"),
        (404, "model: claude-9 was not found", "not_found_error", 404, "model_not_found"),
        (404, "no such route", None, 404, None),
        (413, "too large", None, 413, None),
        (429, "slow down", "tokens_exceeded", 429, "tokens_exceeded"),
        (429, "slow down", None, 429, "rate_limit_exceeded"),
        (429, "pay", "insufficient_quota", 429, "insufficient_quota"),
        (500, "oops", None, 500, "upstream_error"),
        (504, "late", "DEADLINE_EXCEEDED", 504, "DEADLINE_EXCEEDED"),
        (503, "busy", "slow_down", 503, "slow_down"),
        (529, "busy", None, 503, "upstream_overloaded"),
        (200, "failed after all", None, 502, "upstream_error"),
    ],
)
def test_statuses(status: int, message: str, code: str | None, told: int, said: str | None) -> None:
    error = client_error(failure_of(status, message, "acme", code=code))
    assert (error.status, error.detail.code) == (told, said)
    assert message in error.detail.message


def test_silence_is_named() -> None:
    assert failure_of(500, None, "acme").message == "The upstream 'acme' answered with status 500."
    assert failure_of(500, "", "").message == "The upstream answered with status 500."
