"""What kind of failure each dialect's errors are: what is tried again, elsewhere, or not at all follows from it."""

import ast
import json
from pathlib import Path
from typing import get_args

import pytest

import weebill.providers
from weebill.gateway.failures import client_error, model_unavailable, overloaded, upstream_failure
from weebill.providers.failures import classify
from weebill.providers.registry import dialect
from weebill.transport.errors import UpstreamConnectError, UpstreamCut, UpstreamTimeout
from weebill.wire.errors import ApiError
from weebill.wire.failure import Failure, FailureKind, UpstreamFailure, cut, invalid_answer


def openai(message: str, code: str | None = None, kind: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str) -> dict[str, object]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def google(code: int, status: str, message: str, *details: dict[str, object]) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


DAILY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "50"}],
}
MINUTE = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "quotaValue": "5"}],
}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}

# dialect, status, body, kind, wait
TABLE: list[tuple[str, int, object, FailureKind, float | None]] = [
    ("openai", 400, openai("bad", "invalid_value"), "invalid_request", None),
    ("openai", 400, openai("too long", "context_length_exceeded"), "context_length", None),
    ("openai", 400, openai("Your request was rejected", "content_policy_violation"), "content_filter", None),
    (
        "openai",
        400,
        openai("Your request was rejected by the safety system", "moderation_blocked"),
        "content_filter",
        None,
    ),
    ("openai", 401, openai("Incorrect API key", "invalid_api_key"), "credential", None),
    ("openai", 403, openai("Country not supported", "unsupported_country_region_territory"), "forbidden", None),
    ("openai", 404, openai("The model `x` does not exist", "model_not_found"), "not_found", None),
    ("openai", 404, "nothing here", "not_found", None),
    ("openai", 408, openai("slow"), "timeout", None),
    (
        "openai",
        429,
        openai("Rate limit reached. Please try again in 7m59.56s.", "rate_limit_exceeded"),
        "rate_limited",
        479.56,
    ),
    ("openai", 429, openai("You exceeded your current quota", "insufficient_quota"), "quota", None),
    ("openai", 400, openai("Billing hard limit has been reached", "billing_hard_limit_reached"), "quota", None),
    ("openai", 500, openai("oops", kind="server_error"), "server", None),
    ("openai", 502, "<html>bad gateway</html>", "server", None),
    ("openai", 503, openai("Slow down", "slow_down"), "overloaded", None),
    ("openai", 504, "", "timeout", None),
    # Others who speak OpenAI's dialect: DeepSeek, xAI, Moonshot, Alibaba, OpenRouter, Groq, vLLM
    ("openai", 402, openai("Insufficient Balance", "invalid_request_error"), "quota", None),
    (
        "openai",
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"},
        "credential",
        None,
    ),
    ("openai", 403, {"error": "Content violates usage guidelines."}, "content_filter", None),
    ("openai", 403, {"error": "Your team has used all available credits."}, "quota", None),
    (
        "openai",
        429,
        openai("suspended due to insufficient balance", kind="exceeded_current_quota_error"),
        "quota",
        None,
    ),
    (
        "openai",
        400,
        openai("Input data may contain inappropriate content.", "data_inspection_failed"),
        "content_filter",
        None,
    ),
    ("openai", 403, openai("requires moderation. Your input was flagged for 'violence'."), "content_filter", None),
    (
        "openai",
        413,
        openai("Request too large: tokens per minute", "rate_limit_exceeded", "tokens"),
        "rate_limited",
        None,
    ),
    ("openai", 400, {"message": "This model's maximum context length is 4096 tokens."}, "context_length", None),
    (
        "azure",
        400,
        openai("triggering Azure OpenAI's content management policy", "content_filter"),
        "content_filter",
        None,
    ),
    ("azure", 401, openai("Access denied due to invalid subscription key", "401"), "credential", None),
    ("azure", 404, openai("The API deployment does not exist", "DeploymentNotFound"), "not_found", None),
    ("azure", 429, openai("Please retry after 6 seconds.", "429"), "rate_limited", 6),
    ("openai-responses", 429, openai("Please try again in 20s.", "rate_limit_exceeded"), "rate_limited", 20),
    ("openai-responses", 400, openai("exceeds the context window", "context_length_exceeded"), "context_length", None),
    ("anthropic", 400, anthropic("invalid_request_error", "messages: empty"), "invalid_request", None),
    ("anthropic", 400, anthropic("invalid_request_error", "prompt is too long: 9 > 8"), "context_length", None),
    ("anthropic", 400, anthropic("invalid_request_error", "Your credit balance is too low"), "quota", None),
    (
        "anthropic",
        400,
        anthropic("invalid_request_error", "Output blocked by content filtering policy"),
        "content_filter",
        None,
    ),
    ("anthropic", 401, anthropic("authentication_error", "invalid x-api-key"), "credential", None),
    ("anthropic", 402, anthropic("billing_error", "pay"), "quota", None),
    ("anthropic", 403, anthropic("permission_error", "no"), "forbidden", None),
    ("anthropic", 404, anthropic("not_found_error", "model: claude-9"), "not_found", None),
    ("anthropic", 413, anthropic("request_too_large", "over 32 MB"), "unsupported", None),
    ("anthropic", 429, anthropic("rate_limit_error", "slow"), "rate_limited", None),
    ("anthropic", 500, anthropic("api_error", "oops"), "server", None),
    ("anthropic", 504, anthropic("timeout_error", "late"), "timeout", None),
    ("anthropic", 529, anthropic("overloaded_error", "Overloaded"), "overloaded", None),
    ("gemini", 400, google(400, "INVALID_ARGUMENT", "bad"), "invalid_request", None),
    ("gemini", 400, google(400, "INVALID_ARGUMENT", "API key not valid.", BAD_KEY), "credential", None),
    (
        "gemini",
        400,
        google(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum"),
        "context_length",
        None,
    ),
    ("gemini", 403, google(403, "PERMISSION_DENIED", "no"), "forbidden", None),
    ("gemini", 404, google(404, "NOT_FOUND", "models/x is not found"), "not_found", None),
    (
        "gemini",
        429,
        google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", MINUTE, RETRY),
        "rate_limited",
        34.07,
    ),
    ("gemini", 429, google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", DAILY, RETRY), "quota", 34.07),
    ("gemini", 500, google(500, "INTERNAL", "oops"), "server", None),
    ("gemini", 503, google(503, "UNAVAILABLE", "The model is overloaded."), "overloaded", None),
    ("gemini", 504, google(504, "DEADLINE_EXCEEDED", "late"), "timeout", None),
    ("vertex", 401, google(401, "UNAUTHENTICATED", "no token"), "credential", None),
    ("bedrock", 400, {"message": "Malformed input request"}, "invalid_request", None),
    ("bedrock", 400, {"message": "The provided model identifier is invalid."}, "not_found", None),
    ("bedrock", 400, {"message": "Input is too long for requested model."}, "context_length", None),
    ("bedrock", 403, {"message": "You don't have access to the model"}, "credential", None),
    ("bedrock", 408, {"message": "Model timed out"}, "timeout", None),
    ("bedrock", 424, {"message": "Model failed"}, "server", None),
    ("bedrock", 429, {"message": "Too many requests"}, "rate_limited", None),
    ("bedrock", 503, {"message": "Service unavailable"}, "overloaded", None),
    ("cohere", 400, {"message": "too many tokens: 9"}, "context_length", None),
    ("cohere", 401, {"message": "invalid api token"}, "credential", None),
    ("cohere", 404, {"message": "model 'x' not found"}, "not_found", None),
    ("cohere", 429, {"message": "You are past the per minute request limit"}, "rate_limited", None),
    ("cohere", 500, {"message": "internal server error"}, "server", None),
    ("ollama", 404, {"error": "model 'x' not found"}, "not_found", None),
    ("ollama", 500, {"error": "llama runner process has terminated"}, "server", None),
    ("ollama", 503, {"error": "server busy, please try again."}, "overloaded", None),
    ("mistral", 422, {"message": "bad", "type": "invalid_request_error"}, "invalid_request", None),
    ("mistral", 429, {"message": "Requests rate limit exceeded"}, "rate_limited", None),
    ("huggingface", 402, {"error": "You have exceeded your monthly included credits"}, "quota", None),
    (
        "cloudflare",
        429,
        {"errors": [{"code": 3036, "message": "used up your daily free allocation"}]},
        "rate_limited",
        None,
    ),
    ("llamacpp", 503, openai("Loading model", kind="unavailable_error"), "overloaded", None),
]


@pytest.mark.parametrize(("name", "status", "body", "kind", "wait"), TABLE)
def test_answers(name: str, status: int, body: object, kind: FailureKind, wait: float | None) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    failure = classify(dialect(name).error(status, raw, "acme"))
    assert (failure.kind, failure.retry_after) == (kind, None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (upstream_failure(UpstreamConnectError("refused"), "acme")[0], "network"),
        (upstream_failure(UpstreamCut("cut"), "acme")[0], "network"),
        (upstream_failure(UpstreamTimeout("headers"), "acme")[0], "timeout"),
        (model_unavailable("mini"), "overloaded"),
        (overloaded("mini"), "overloaded"),
        (cut(), "network"),
        (invalid_answer("no answer"), "invalid_answer"),
        (ApiError(400, "no seed", code="unsupported_parameter", param="seed"), "unsupported"),
    ],
)
def test_what_the_gateway_finds_itself(error: ApiError | UpstreamFailure, kind: FailureKind) -> None:
    assert classify(error).kind == kind


def test_a_header_goes_before_a_message() -> None:
    error = dialect("openai").error(429, b'{"error":{"message":"Please try again in 20s."}}', "")
    assert classify(error.after(None)).retry_after == 20
    assert classify(error.after(1.5)).retry_after == 1.5
    assert b"retry-after: 2\r\n" in client_error(error).headers()


def test_every_kind_comes_of_something() -> None:
    seen = {row[3] for row in TABLE} | {"network", "invalid_answer", "unsupported"}
    assert seen == set(get_args(FailureKind))


# What a client can have an upstream quote, by a value that it does not take.
@pytest.mark.parametrize("said", ["credit balance", "invalid api key", "unknown model", "insufficient_quota"])
@pytest.mark.parametrize(
    "message",
    [
        "Invalid value: '{}'. Supported values are: 'auto'.",
        "Invalid value for `{}`.",
        'Unknown name "{}" at "contents": Cannot find field.',
        '[{{"type": "enum", "loc": ["body", "tool_choice"], "input": "{}"}}]',
        # However it begins, what comes so late is of the request.
        "The request could not be read. " + "It is long. " * 30 + "{}",
    ],
)
@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "bedrock", "cohere", "openai-responses"])
def test_no_client_makes_an_upstream_blame_a_key(name: str, message: str, said: str) -> None:
    bodies: dict[str, object] = {
        "anthropic": anthropic("invalid_request_error", message.format(said)),
        "gemini": google(400, "INVALID_ARGUMENT", message.format(said)),
    }
    body = bodies.get(name) or {"message": message.format(said)}
    error = dialect(name).error(400, json.dumps(body).encode(), "acme")
    assert classify(error) == Failure("invalid_request", "request", 400)


def test_no_dialect_says_what_clients_are_told_of_an_upstream() -> None:
    made = {
        (path.name, call.lineno): call.args[0].value
        for path in Path(weebill.providers.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "ApiError"
        if isinstance(call.args[0], ast.Constant)
    }
    assert made
    assert set(made.values()) == {400}, made
