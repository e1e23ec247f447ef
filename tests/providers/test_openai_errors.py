"""What a client is told of a provider's error, whatever its API."""

import json
from typing import Any

import pytest
from msgspec import Raw

from weebill.gateway.failures import client_error
from weebill.providers.error_bodies import said
from weebill.providers.failures import failure_of
from weebill.providers.openai import errors as openai_errors
from weebill.providers.operations import OPERATIONS
from weebill.providers.registry import dialect
from weebill.providers.responses import errors as responses_errors

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


MISSING = {"type": "missing", "loc": ["body", "messages", 0, "content"], "msg": "Field required", "input": "own words"}
# What bodies of errors say, and what of them a client is told: words and field.
BODIES: list[tuple[Any, str, str | None]] = [
    # Mistral, with its own layers around those of who checks the request
    ({"object": "error", "message": {"detail": [MISSING]}, "type": "invalid_request_error", "code": None},
     "messages[0].content: Field required", "messages[0].content"),
    ({"object": "error", "message": {"detail": [MISSING, {"loc": ["body", "n"], "msg": "too large"}]}},
     "messages[0].content: Field required; n: too large", "messages[0].content"),
    ({"object": "error", "message": "boom", "type": "t"}, "boom", None),
    ({"errors": [{"message": "boom"}]}, "boom", None),
    ({"success": False, "errors": [{"code": 7, "message": "boom"}, {"message": "bang"}]}, "boom; bang", None),
    ({"errors": ["boom", "bang"]}, "boom; bang", None),
    # FastAPI
    ({"detail": [MISSING]}, "messages[0].content: Field required", "messages[0].content"),
    ({"detail": [{"loc": ["body"], "msg": "Field required"}]}, "Field required", None),
    ({"detail": "boom"}, "boom", None),
    ({"detail": {"message": "boom"}}, "boom", None),
    ({"detail": {"error": {"msg": "boom"}}}, "boom", None),
    # Text where others have an object, an object where others have text, and nothing around it
    ({"message": "boom"}, "boom", None),
    ({"Message": "boom"}, "boom", None),
    ({"error": "boom"}, "boom", None),
    ({"error": "Bad Request", "message": "boom"}, "boom", None),
    ({"error": True, "message": "", "detail": "boom"}, "boom", None),
    ({"error": "invalid_request", "error_description": "boom"}, "boom", None),
    ({"error": {"message": {"error": {"message": "boom", "param": "n"}}}}, "boom", "n"),
    ([{"error": {"message": "boom"}}], "boom", None),
    ("boom", "boom", None),
    # RFC 9457
    ({"type": "about:blank", "title": "Bad", "status": 400, "detail": "boom"}, "Bad: boom", None),
    ({"type": "https://x/y", "title": "Boom"}, "Boom", None),
    # Shapes that nobody knows are shown as they are; what is empty, and a page's layers without an end, are no words.
    ({"errors": {"n": ["too large"]}}, '{"n": ["too large"]}', None),
    ({"fault": {"faultstring": "boom"}}, '{"fault": {"faultstring": "boom"}}', None),
    ({}, "The upstream 'acme' answered with status 422.", None),
    ({"detail": [], "message": None}, "The upstream 'acme' answered with status 422.", None),
    ({"type": "error"}, "The upstream 'acme' answered with status 422.", None),
]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["openai", "mistral", "openai-responses", "azure", "anthropic", "gemini", "bedrock", "cohere", "ollama"]
)
def test_the_upstreams_own_words_reach_the_client(name: str) -> None:
    for body, words, param in BODIES:
        failed = dialect(name).error(422, json.dumps(body).encode(), "acme")
        assert failed.message == words, body
        assert failed.param in (param, None), body
        assert failed.type in ("invalid_request_error", "t", "error", None), body


def test_operations_hear_the_same_words() -> None:
    translator = OPERATIONS["embeddings", "openai"]
    for body, words, param in BODIES:
        error = translator.error(None, 422, json.dumps(body).encode(), None, "acme")  # type: ignore[arg-type]
        assert (error.message, error.param) == (words, param), body


def test_layers_without_an_end_are_shown_as_they_are() -> None:
    body: Any = "boom"
    for _ in range(100):
        body = {"error": body}
    message = dialect("openai").error(400, json.dumps(body).encode(), "acme").message
    assert message.startswith('{"error": {"error"')
    assert len(message) <= 2000


@pytest.mark.parametrize("code", ['"\u00b2"', '"\u0664\u0662\u0669"', f'"{"9" * 5000}"', "1e400", "-1", '""'])
def test_an_odd_code_is_no_fault_of_ours(code: str) -> None:
    body = f'{{"message":"no","code":{code}}}'.encode()
    assert openai_errors.inner_error(Raw(body)).message == "no"
    assert responses_errors.inner_error(said(Raw(body))).message == "no"
