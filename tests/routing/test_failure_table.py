"""The failure table: what providers really answer, what that is, who is left alone for it, and who is tried next.

The bodies are in the shapes that providers document, or that their users have posted where they do not: the address
stands beside each. Names, ids and numbers are made up.
"""

from __future__ import annotations

import json
from random import Random
from typing import Final, NamedTuple

import pytest

from tests.routing.deployments import deployment
from weebill.config.routing import RoutingSettings
from weebill.providers import waits
from weebill.providers.failures import classify
from weebill.providers.registry import dialect
from weebill.routing.attempts import Attempts, Shared
from weebill.routing.budget import RetryBudget
from weebill.routing.candidates import Candidate
from weebill.routing.credentials import Credential
from weebill.routing.deployment_health import Hold
from weebill.routing.deployments import Deployment
from weebill.routing.health import Health
from weebill.routing.plan import RankedDeployment
from weebill.routing.steps import Pause, Try
from weebill.wire.failure import FailureKind, Scope, UpstreamFailure

SETTINGS: Final = RoutingSettings()
NOW: Final = 1_000.0
# The pauses that nobody asks for: after a limit, and the first one after a key was refused.
LIMIT: Final = SETTINGS.rate_limit_s
REFUSED: Final = SETTINGS.breaker.refused_s

Body = dict[str, object] | str


class Row(NamedTuple):
    """`pause` is in seconds, 0 for none; `then` is who is asked next: the same "again", another "key", the "next"
    deployment, or nobody ("told")."""

    source: str
    dialect: str
    status: int
    body: Body
    kind: FailureKind
    scope: Scope
    pause: float
    then: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


def openai(message: str, code: str | int | None = None, kind: str | None = None, **more: object) -> Body:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def anthropic(kind: str, message: str) -> Body:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def google(code: int, status: str, message: str, *details: dict[str, object]) -> Body:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def reason(name: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": name, "domain": "googleapis.com"}


def quota(name: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": name}]}


RETRY: Final[dict[str, object]] = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
WAF: Final = "<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body><h1>403 Forbidden</h1></body></html>"
CHALLENGE: Final = '<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body></body></html>'
OPENAI: Final = "https://platform.openai.com/docs/guides/error-codes"
CLAUDE: Final = "https://platform.claude.com/docs/en/api/errors"
GEMINI: Final = "https://ai.google.dev/gemini-api/docs/troubleshooting"
BEDROCK: Final = "https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html"
OPENROUTER: Final = "https://openrouter.ai/docs/api-reference/errors"
GROQ: Final = "https://console.groq.com/docs/errors"
GITHUB: Final = "https://github.com/"

TABLE: Final[list[Row]] = [
    # 401: the key
    Row(OPENAI, "openai", 401, openai("Incorrect API key provided: sk-x.", "invalid_api_key", "invalid_request_error"),
        "credential", "key", REFUSED, "key"),
    Row(GITHUB + "microsoft/PowerToys/issues/32989", "openai", 401,
        openai("You have insufficient permissions for this operation. Missing scopes: model.request. Check that ..."),
        "credential", "key", REFUSED, "key"),
    Row(CLAUDE, "anthropic", 401, anthropic("authentication_error", "invalid x-api-key"),
        "credential", "key", REFUSED, "key"),
    Row("https://cloud.google.com/apis/design/errors", "vertex", 401,
        google(401, "UNAUTHENTICATED", "Request had invalid credentials.", reason("ACCESS_TOKEN_EXPIRED")),
        "credential", "key", REFUSED, "key"),
    Row("https://learn.microsoft.com/azure/ai-services/openai", "azure", 401,
        openai("Access denied due to invalid subscription key or wrong API endpoint.", "401"),
        "credential", "key", REFUSED, "key"),
    # Keys that are refused with 400 and 403
    Row(GEMINI, "gemini", 400, google(400, "INVALID_ARGUMENT", "API key not valid.", reason("API_KEY_INVALID")),
        "credential", "key", REFUSED, "key"),
    Row(GITHUB + "continuedev/continue/issues/11541", "gemini", 403,
        google(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."),
        "credential", "key", REFUSED, "key"),
    Row(GITHUB + "phateio/kiris/pull/39", "gemini", 403,
        google(403, "PERMISSION_DENIED", "Generative Language API has not been used in project 1 before or it is "
               "disabled.", reason("SERVICE_DISABLED")), "credential", "key", REFUSED, "key"),
    Row(GITHUB + "anthropics/claude-code/issues/8327", "anthropic", 400,
        anthropic("invalid_request_error", "This organization has been disabled."),
        "credential", "key", REFUSED, "key"),
    Row(GITHUB + "anthropics/claude-code/issues/2260", "bedrock", 403,
        {"message": "The security token included in the request is invalid."}, "credential", "key", REFUSED, "key"),
    Row(GITHUB + "decolua/9router/issues/2559", "openai", 403,
        {"code": "permission-denied", "error": "Access to the chat endpoint is denied. Please ensure you're using the "
                                               "correct credentials."}, "credential", "key", REFUSED, "key"),
    # 402, and credit by other statuses
    Row("https://api-docs.deepseek.com/quick_start/error_codes", "openai", 402,
        openai("Insufficient Balance", "invalid_request_error", "unknown_error"), "quota", "model", REFUSED, "key"),
    # OpenRouter's free models go on.
    Row(OPENROUTER, "openai", 402, openai("Insufficient credits. Add more using the dashboard.", 402),
        "quota", "model", REFUSED, "key"),
    # It is this request that is too much; one for fewer tokens is served: the issue shows both at once.
    Row(GITHUB + "can1357/oh-my-pi/issues/9569", "openai", 402,
        openai("This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can "
               "only afford 30104.", 402, metadata={"provider_name": None}), "quota", "request", 0, "key"),
    Row(CLAUDE, "anthropic", 402, anthropic("billing_error", "There is an issue with your billing."),
        "quota", "key", REFUSED, "key"),
    Row(GITHUB + "anthropics/claude-code/issues/6043", "anthropic", 400,
        anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        "quota", "key", REFUSED, "key"),
    Row("https://docs.x.ai/docs/key-information/debugging", "openai", 403,
        {"code": "The caller does not have permission to execute the specified operation",
         "error": "Your team 0f0f has either used all available credits or reached its monthly spending limit."},
        "quota", "key", REFUSED, "key"),
    Row(GITHUB + "continuedev/continue/issues/12670", "openai", 403,
        {"code": "The caller does not have permission to execute the specified operation",
         "error": "Your newly created team doesn't have any credits or licenses yet."}, "quota", "key", REFUSED, "key"),
    Row(GITHUB + "continuedev/continue/issues/10373", "openai", 429,
        {"error": "Your team 0f0f has either used all available credits or reached its monthly spending limit."},
        "quota", "key", REFUSED, "key"),
    Row(GITHUB + "RooCodeInc/Roo-Code/issues/515", "openai", 403, openai("Key limit exceeded. Manage it.", 403),
        "quota", "key", REFUSED, "key"),
    Row(GITHUB + "tencentmusic/supersonic/issues/1572", "openai", 400,
        openai("Access denied, please make sure your account is in good standing.", "Arrearage", "Arrearage"),
        "quota", "key", REFUSED, "key"),
    Row(GITHUB + "tashfeenahmed/freellmapi/issues/914", "openai", 403,
        openai("The free tier of the model has been exhausted.", "AllocationQuota.FreeTierOnly"),
        "quota", "model", REFUSED, "key"),
    # 403, one: a page of what stands before the API
    Row(GITHUB + "idootop/mi-gpt/issues/33", "openai", 403, WAF, "forbidden", "request", 0, "next"),
    Row(GITHUB + "anthropics/claude-code/issues/30437", "anthropic", 403, CHALLENGE, "forbidden", "request", 0, "next"),
    Row("https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors", "openai",
        403, "error code: 1020", "forbidden", "request", 0, "next"),
    # 403, two: what the request says
    Row(OPENROUTER, "openai", 403,
        openai("openai/gpt-4o requires moderation on OpenAI. Your input was flagged for \"violence\".", 403,
               metadata={"reasons": ["violence"], "flagged_input": "how to"}), "content_filter", "request", 0, "told"),
    Row("https://docs.x.ai/docs/key-information/debugging", "openai", 403,
        {"error": "Content violates usage guidelines."}, "content_filter", "request", 0, "told"),
    # 403, three: a file that the request names
    Row(GITHUB + "langgenius/dify-plugin-daemon/issues/192", "gemini", 403,
        google(403, "PERMISSION_DENIED", "You do not have permission to access the File abc or it may not exist."),
        "forbidden", "request", 0, "next"),
    # 403, four: one model that is not for this key
    Row(GITHUB + "Aider-AI/aider/issues/604", "openai", 403,
        openai("Project `proj_1` does not have access to model `gpt-4o`", "model_not_found", "invalid_request_error"),
        "credential", "model", REFUSED, "key"),
    Row(BEDROCK, "bedrock", 403, {"message": "You don't have access to the model with the specified model ID."},
        "credential", "model", REFUSED, "key"),
    Row(GITHUB + "googleapis/googleapis/blob/master/google/api/error_reason.proto", "vertex", 403,
        google(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource.",
               reason("IAM_PERMISSION_DENIED")), "credential", "model", REFUSED, "key"),
    Row(GROQ, "openai", 403, openai("The model `x` is blocked at the organization level.",
                                    "model_permission_blocked_org", "permissions_error"),
        "credential", "model", REFUSED, "key"),
    Row(GITHUB + "openai/openai-go/issues/565", "openai", 403,
        openai("Your organization must be verified to use the model `gpt-5`. Please go to ..."),
        "credential", "model", REFUSED, "key"),
    # ... or only as a stream
    Row(GITHUB + "Lamb-Project/lamb/issues/54", "openai", 400,
        openai("Your organization must be verified to stream this model.", "unsupported_value",
               "invalid_request_error"), "unsupported", "request", 0, "next"),
    # 403, five: where it comes from
    Row(GITHUB + "home-assistant/core/issues/120072", "openai", 403,
        openai("Country, region, or territory not supported", "unsupported_country_region_territory",
               "request_forbidden"), "forbidden", "model", LIMIT, "next"),
    Row(GITHUB + "anthropics/claude-code/issues/1613", "anthropic", 403,
        {"error": {"type": "forbidden", "message": "Request not allowed"}}, "forbidden", "model", LIMIT, "next"),
    Row(GEMINI, "gemini", 400, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        "forbidden", "model", LIMIT, "next"),
    # 403, six: one that does not say; and another's, passed on
    Row(CLAUDE, "anthropic", 403, anthropic("permission_error", "Your API key does not have permission to use the "
                                            "specified resource."), "forbidden", "request", 0, "next"),
    Row(GITHUB + "google-gemini/gemini-cli/issues/25607", "gemini", 403,
        google(403, "PERMISSION_DENIED", "The caller does not have permission"), "forbidden", "request", 0, "next"),
    Row(GITHUB + "OpenRouterTeam/openrouter-examples/issues/18", "openai", 403,
        openai("Provider returned error", 403, metadata={"provider_name": "OpenAI"}),
        "forbidden", "request", 0, "next"),
    # 404
    Row(GITHUB + "Aider-AI/aider/issues/2030", "openai", 404,
        openai("The model `gpt-9` does not exist or you do not have access to it.", "model_not_found"),
        "not_found", "model", LIMIT, "next"),
    Row(CLAUDE, "anthropic", 404, anthropic("not_found_error", "model: claude-9"), "not_found", "model", LIMIT, "next"),
    Row(GEMINI, "gemini", 404, google(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta."),
        "not_found", "model", LIMIT, "next"),
    Row(BEDROCK, "bedrock", 400, {"message": "The provided model identifier is invalid."},
        "not_found", "model", LIMIT, "next"),
    Row("https://learn.microsoft.com/azure/ai-services/openai", "azure", 404,
        openai("The API deployment for this resource does not exist.", "DeploymentNotFound"),
        "not_found", "model", LIMIT, "next"),
    Row("https://github.com/ollama/ollama/blob/main/docs/api.md", "ollama", 404, {"error": "model 'x' not found"},
        "not_found", "model", LIMIT, "next"),
    Row("https://platform.openai.com/docs/api-reference/responses", "openai-responses", 404,
        openai("Previous response with id 'resp_1' not found.", "previous_response_not_found"),
        "not_found", "request", 0, "next"),
    # 408, 409, 413, 422
    Row(BEDROCK, "bedrock", 408, {"message": "Model timed out"}, "timeout", "model", 0, "next"),
    Row(OPENAI, "openai", 409, openai("The resource was updated by another request."), "invalid_request", "request",
        0, "told"),
    Row(CLAUDE, "anthropic", 413, anthropic("request_too_large", "Request exceeds the maximum size"),
        "unsupported", "request", 0, "next"),
    Row(GITHUB + "HunorLaczko/ha-groq-cloud-api/issues/27", "openai", 413,
        openai("Request too large for model `x` in organization `org_1` on tokens per minute (TPM): Limit 6000, "
               "Requested 12328, please reduce your message size.", "rate_limit_exceeded", "tokens"),
        "rate_limited", "request", 0, "key"),
    Row("https://docs.mistral.ai/api", "mistral", 422,
        {"object": "error",
         "message": {"detail": [{"loc": ["body", "n"], "msg": "too large", "input": "credit balance"}]},
         "type": "invalid_request_error"}, "invalid_request", "request", 0, "told"),
    # 429, one: a minute's limit
    Row(GITHUB + "continuedev/continue/issues/10920", "openai", 429,
        openai("Rate limit reached for model `x` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. "
               "Please try again in 9m38.016s.", "rate_limit_exceeded", "tokens"),
        "rate_limited", "model", 578.016, "key"),
    Row(CLAUDE, "anthropic", 429, anthropic("rate_limit_error", "This request would exceed your rate limit."),
        "rate_limited", "model", 17, "key", ((b"retry-after", b"17"),)),
    Row(GEMINI, "gemini", 429, google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.",
                                      quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"), RETRY),
        "rate_limited", "model", 34, "key"),
    Row("https://docs.cohere.com/reference/errors", "cohere", 429, {"message": "You are past the per minute limit."},
        "rate_limited", "model", LIMIT, "key"),
    # 429, two: no credit
    Row(OPENAI, "openai", 429, openai("You exceeded your current quota, please check your plan and billing details.",
                                      "insufficient_quota", "insufficient_quota"), "quota", "key", REFUSED, "key"),
    Row(GITHUB + "BerriAI/litellm/issues/2743", "openai", 429,
        openai("Your account is not active, please check your billing details on our website.", "billing_not_active",
               "billing_not_active"), "quota", "key", REFUSED, "key"),
    # 429, three: no more for the day
    Row(GITHUB + "google-gemini/gemini-cli/issues/8437", "gemini", 429,
        google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan.",
               quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), RETRY), "quota", "model", 34, "key"),
    Row(BEDROCK, "bedrock", 429, {"message": "Too many tokens per day, please wait before trying again."},
        "quota", "model", REFUSED, "key"),
    # 429, four: this request alone is beyond the limit
    Row(GITHUB + "vanna-ai/vanna-flask/issues/11", "openai", 429,
        openai("Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 342389.",
               "rate_limit_exceeded", "tokens"), "rate_limited", "request", 0, "key"),
    Row(GITHUB + "anthropics/claude-code/issues/50784", "anthropic", 429,
        anthropic("rate_limit_error", "Extra usage is required for long context requests."),
        "rate_limited", "request", 0, "key"),
    # 429, five: too much to do
    Row("https://platform.moonshot.ai/docs/api/chat#error-codes", "openai", 429,
        openai("The engine is currently overloaded, please try again later", None, "engine_overloaded_error"),
        "overloaded", "model", 0, "next"),
    Row("https://docs.mistral.ai/api", "mistral", 429,
        {"object": "error", "message": "Service tier capacity exceeded for this model.", "code": "3505"},
        "overloaded", "model", 0, "next"),
    # 5xx, whatever their codes say
    Row(OPENAI, "openai", 500, openai("The server had an error.", None, "server_error"), "server", "model", 0, "again"),
    Row("made up: a code of ours, or of a key, in another's mouth", "openai", 500,
        openai("Oops.", "upstream_credential_refused"), "server", "model", 0, "again"),
    Row("made up: the same", "openai", 502, openai("Oops: credit balance", "insufficient_quota"),
        "server", "model", 0, "again"),
    Row(OPENAI, "openai", 503, openai("Slow down", "slow_down"), "overloaded", "model", 0, "next"),
    Row(CLAUDE, "anthropic", 529, anthropic("overloaded_error", "Overloaded"), "overloaded", "model", 0, "next"),
    Row(CLAUDE, "anthropic", 504, anthropic("timeout_error", "Request timed out."), "timeout", "model", 0, "next"),
    Row(BEDROCK, "bedrock", 424, {"message": "Model failed"}, "server", "model", 0, "again"),
    # 200 with an error inside
    Row(GITHUB + "BerriAI/litellm/issues/8448", "openai", 200,
        openai("Provider returned error", 429, metadata={"raw": "error code: 1015"}),
        "rate_limited", "model", LIMIT, "key"),
    Row(OPENROUTER, "openai", 200, openai("Internal error", 502), "server", "model", 0, "again"),
    Row(OPENROUTER, "openai", 200, openai("Insufficient credits", 402), "quota", "model", REFUSED, "key"),
    Row(OPENAI, "openai", 200, openai("You exceeded your current quota.", "insufficient_quota"),
        "quota", "key", REFUSED, "key"),
    Row(CLAUDE, "anthropic", 200, anthropic("overloaded_error", "Overloaded"), "overloaded", "model", 0, "next"),
    Row(GEMINI, "gemini", 200, google(503, "UNAVAILABLE", "The model is overloaded."),
        "overloaded", "model", 0, "next"),
    Row("made up", "openai", 200, openai("It failed."), "server", "model", 0, "again"),
]  # fmt: skip


def failed(row: Row) -> UpstreamFailure:
    """What the dialect makes of an answer, with the wait that the headers ask for."""
    raw = row.body.encode() if isinstance(row.body, str) else json.dumps(row.body).encode()
    spoken = dialect(row.dialect)
    if row.status == 200:
        with pytest.raises(UpstreamFailure) as caught:
            spoken.decode(raw)
        return caught.value
    return spoken.error(row.status, raw, "acme").after(waits.retry_after(row.status, row.headers, 0.0))


class World:
    """A provider with two keys and two models, and another provider, as one worker knows them."""

    def __init__(self) -> None:
        self.model = deployment("acme", "m", keys=2)
        self.sibling = deployment("acme", "n", keys=2)
        self.other = deployment("other", "m")
        self.health = Health(SETTINGS.breaker, Random(1))
        self.shared = Shared(SETTINGS, self.health, RetryBudget(0.0, 100.0), Random(1))

    def attempts(self) -> Attempts:
        return Attempts(
            self.shared, [RankedDeployment(Candidate(each), 0.0) for each in (self.model, self.other)], NOW + 60.0
        )

    def key(self, number: int) -> Credential:
        assert self.model.upstream is not None
        return self.model.upstream.credentials[number]

    def held(self, at: Deployment, number: int) -> float:
        hold: Hold | None = self.health.credential_hold(at, self.key(number), NOW)
        return 0.0 if hold is None else hold.until - NOW


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.dialect}-{row.status}-{row.kind}-{row.scope}")
def test_what_an_answer_is_and_who_is_left_alone_for_it(row: Row) -> None:
    error = failed(row)
    failure = classify(error)
    assert (failure.kind, failure.scope) == (row.kind, row.scope)
    world = World()
    attempts = world.attempts()
    first = attempts.next(NOW)
    assert isinstance(first, Try)
    attempts.failed(error, NOW, status=row.status)

    # Who is left alone, and for how long: a key that was refused with the jitter of its first pause.
    model, sibling = world.held(world.model, 0), world.held(world.sibling, 0)
    assert row.pause <= model <= row.pause * 1.2 if row.pause else model == 0
    assert (sibling > 0) == (row.pause > 0 and row.scope == "key")
    assert world.held(world.model, 1) == world.held(world.sibling, 1) == 0
    assert world.health.hold(world.other, NOW) is None

    assert after(world, attempts.next(NOW)) == row.then


def after(world: World, step: Try | Pause | None) -> str:
    if step is None:
        return "told"
    if isinstance(step, Pause):
        return "again"
    if step.deployment is world.other:
        return "next"
    return "key" if step.credential is world.key(1) else "again"


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row.scope == "request"], ids=lambda row: f"{row.dialect}-{row.status}"
)
def test_what_is_of_one_request_does_not_touch_the_next(row: Row) -> None:
    world = World()
    for _ in range(50):
        attempts = world.attempts()
        first = attempts.next(NOW)
        assert isinstance(first, Try)
        assert (first.deployment, first.credential) == (world.model, world.key(0))
        attempts.failed(failed(row), NOW, status=row.status)
    assert world.health.notices(NOW) == ()


def test_the_table_has_all_sorts() -> None:
    sorts = {status: {(row.kind, row.scope) for row in TABLE if row.status == status} for status in (403, 429)}
    assert len(sorts[403]) >= 6
    assert len(sorts[429]) >= 5
    statuses = {row.status for row in TABLE}
    assert statuses >= {200, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 503}
    assert {row.dialect for row in TABLE} >= {"openai", "azure", "anthropic", "gemini", "vertex", "bedrock", "cohere"}
