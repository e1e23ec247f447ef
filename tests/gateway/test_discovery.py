"""What there is, in the format of whoever asks; and what is not."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import anthropic
import pytest
from google import genai
from google.genai import types

from tests.fixtures.upstream import Upstream, answer, complete, send
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.auto import AutoSettings
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.process.messages import EngineState

CLAUDE = {"anthropic-version": "2023-06-01"}
FOR_GOOGLE = (
    {"x-goog-api-client": "google-genai-sdk/3"},
    {"x-goog-api-key": "KEY"},
    {"user-agent": "google-genai-sdk/3.0"},
)
VERTEX = "/v1beta1/projects/p/locations/global/publishers/google"
ALIASES = ["large", "mini", "auto"]
MODELS = ["smollm2:135m", "gpt-4o-mini", "openai/gpt-4o-mini", "own"]
EMBEDDED = json.dumps(
    {"object": "list", "data": [{"index": at, "embedding": [at, 0.5]} for at in range(2)], "model": "up"}
).encode()


@pytest.fixture
async def worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    settings = Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=("smollm2:135m",)),
        providers={
            "openai": ProviderSettings(
                dialect="openai", base_url=upstream.base_url, api_key="k", models=("gpt-4o-mini",)
            ),
            "acme": ProviderSettings(base_url=upstream.base_url, api_key="k", models=("own",)),
        },
        aliases={"large": "gpt-4o-mini", "mini": "smollm2:135m"},
        auto=AutoSettings(small="mini", large="large"),
    )
    engine = EngineState(model="smollm2:135m", api_key="k", base_url=f"http://127.0.0.1:{upstream.port}", context=8192)
    async with running_worker(tmp_path / "home", settings, (engine,)) as running:
        yield running


async def test_health_by_both_names(worker: RunningWorker) -> None:
    for path in ("/health", "/healthz"):
        response = await worker.client.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/v1/models", "/openai/v1/models"])
async def test_what_the_user_named_comes_first(worker: RunningWorker, path: str) -> None:
    cards = {card["id"]: card for card in (await worker.client.get(path)).json()["data"]}
    assert list(cards) == [*ALIASES, *MODELS]
    assert [cards[name]["owned_by"] for name in ("large", "gpt-4o-mini", "own", "auto")] == [
        "openai", "openai", "acme", "weebill",
    ]  # fmt: skip
    assert cards["smollm2:135m"]["context_length"] == cards["mini"]["context_length"] == 8192
    assert cards["large"]["context_length"] == cards["openai/gpt-4o-mini"]["context_length"] == 128_000


@pytest.mark.parametrize(("path", "headers"), [("/v1/models", CLAUDE), ("/anthropic/v1/models", {})])
async def test_for_anthropics_clients(worker: RunningWorker, path: str, headers: dict[str, str]) -> None:
    async def page(**query: Any) -> tuple[list[str], bool, str | None, str | None]:
        response = await worker.client.get(path, params=query, headers=headers)
        body = response.json()
        assert response.headers["request-id"] == response.headers["x-request-id"]
        assert {each["type"] for each in body["data"]} <= {"model"}
        return [each["id"] for each in body["data"]], body["has_more"], body["first_id"], body["last_id"]

    names = [*ALIASES, *MODELS]
    assert await page() == (names, False, names[0], names[-1])
    assert await page(limit=2) == (names[:2], True, names[0], names[1])
    assert await page(limit=2, after_id=names[1]) == (names[2:4], True, names[2], names[3])
    assert await page(limit=9, after_id=names[1]) == (names[2:], False, names[2], names[-1])
    assert await page(limit=2, before_id=names[3]) == (names[1:3], True, names[1], names[2])
    assert await page(after_id=names[-1]) == ([], False, None, None)
    one = (await worker.client.get(f"{path}/large", headers=headers)).json()
    assert (one["id"], one["type"], one["max_input_tokens"]) == ("large", "model", 128_000)
    assert datetime.fromisoformat(one["created_at"]).year > 2000
    for wrong in ({"limit": "x"}, {"limit": 0}, {"after_id": "nope"}):
        response = await worker.client.get(path, params=wrong, headers=headers)
        assert (response.status_code, response.json()["type"]) == (400, "error")
    response = await worker.client.get(f"{path}/nope", headers=headers)
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/v1beta/models", {}), ("/gemini/v1beta/models", {}), *(("/v1/models", each) for each in FOR_GOOGLE)],
)
async def test_for_googles_clients(worker: RunningWorker, path: str, headers: dict[str, str]) -> None:
    headers = {name: value.replace("KEY", worker.key) for name, value in headers.items()}
    names = [*ALIASES, *MODELS]
    body = (await worker.client.get(path, headers=headers)).json()
    assert [each["name"] for each in body["models"]] == [f"models/{name}" for name in names]
    assert "nextPageToken" not in body
    found: list[str] = []
    token = ""
    while True:
        query = {"pageSize": "3", **({"pageToken": token} if token else {})}
        body = (await worker.client.get(path, params=query, headers=headers)).json()
        found += [each["baseModelId"] for each in body["models"]]
        token = body.get("nextPageToken", "")
        if not token:
            break
    assert found == names
    one = (await worker.client.get(f"{path}/large", headers=headers)).json()
    assert (one["name"], one["inputTokenLimit"], one["outputTokenLimit"]) == ("models/large", 128_000, 16_384)
    assert "generateContent" in one["supportedGenerationMethods"]
    response = await worker.client.get(f"{path}/nope", headers=headers)
    assert (response.status_code, response.json()["error"]["status"]) == (404, "NOT_FOUND")


async def test_the_official_clients_list_models(worker: RunningWorker) -> None:
    async with anthropic.AsyncAnthropic(base_url=worker.url, api_key=worker.key) as claude:
        assert [each.id async for each in claude.models.list(limit=2)] == [*ALIASES, *MODELS]
        assert (await claude.models.retrieve("mini")).id == "mini"
    for version in ("v1", "v1beta", "v1alpha", "v1beta1"):
        google = genai.Client(
            api_key=worker.key, http_options=types.HttpOptions(base_url=worker.url, api_version=version)
        )
        pager = await google.aio.models.list(config={"page_size": 2})
        assert [each.name async for each in pager] == [f"models/{name}" for name in [*ALIASES, *MODELS]]
        assert (await google.aio.models.get(model="mini")).input_token_limit == 8192


async def test_googles_embeddings(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = send(answer(200, EMBEDDED))
    google = genai.Client(api_key=worker.key, http_options=types.HttpOptions(base_url=worker.url))
    got = await google.aio.models.embed_content(
        model="own", contents=["a", "b"], config=types.EmbedContentConfig(output_dimensionality=2)
    )
    assert [each.values for each in got.embeddings or ()] == [[0.0, 0.5], [1.0, 0.5]]
    sent = upstream.requests[-1].json
    assert (sent["input"], sent["dimensions"], sent["model"]) == (["a", "b"], 2, "own")
    body: dict[str, Any] = {"content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY"}
    for path in (f"/{version}/models/own:embedContent" for version in ("v1", "v1beta", "v1alpha", "v1beta1")):
        assert (await worker.client.post(path, json=body)).json() == {"embedding": {"values": [0, 0.5]}}
    assert upstream.requests[-1].json["task_type"] == "RETRIEVAL_QUERY"
    snake = {"requests": [{"model": "models/own", "content": {"parts": [{"text": "a"}]}, "output_dimensionality": 3}]}
    await worker.client.post("/v1beta/models/own:batchEmbedContents", json=snake)
    assert upstream.requests[-1].json["dimensions"] == 3
    asked = len(upstream.requests)
    image = {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]}}
    for wrong in (image, {}, {"content": {"parts": []}}):
        response = await worker.client.post("/v1beta/models/own:embedContent", json=wrong)
        assert (response.status_code, response.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    mixed = {"requests": [body, {**body, "taskType": "RETRIEVAL_DOCUMENT"}]}
    assert (await worker.client.post("/v1beta/models/own:batchEmbedContents", json=mixed)).status_code == 400
    assert len(upstream.requests) == asked


@pytest.mark.parametrize(
    ("method", "path", "headers", "where", "kind"),
    [
        ("POST", "/v1/messages/batches", {}, "type", "not_found_error"),
        ("POST", "/v1/files", CLAUDE, "type", "not_found_error"),
        ("GET", "/anthropic/v1/skills", {}, "type", "not_found_error"),
        ("GET", "/v1/messages", {}, "type", "invalid_request_error"),
        ("POST", "/v1beta/cachedContents", {}, "status", "NOT_FOUND"),
        ("POST", "/v1beta/models/own:predict", {}, "status", "NOT_FOUND"),
        ("GET", "/gemini/v1beta/files", {}, "status", "NOT_FOUND"),
        ("POST", "/v1/files", FOR_GOOGLE[0], "status", "NOT_FOUND"),
        ("DELETE", "/v1beta/models/own", {}, "status", "UNIMPLEMENTED"),
        ("POST", "/v1alpha/models/own:predict", {}, "status", "NOT_FOUND"),
        ("POST", "/v1alpha/auth_tokens", FOR_GOOGLE[0], "status", "NOT_FOUND"),
        ("GET", "/v1beta1/cachedContents", {}, "status", "NOT_FOUND"),
        ("POST", "/upload/v1beta/files", FOR_GOOGLE[1], "status", "NOT_FOUND"),
        ("POST", "/upload/v1alpha/files", {}, "status", "NOT_FOUND"),
        ("GET", "/download/v1beta/files/a:download", FOR_GOOGLE[0], "status", "NOT_FOUND"),
        ("GET", "/api/claude_cli/bootstrap", CLAUDE, "type", "not_found_error"),
        ("POST", "/api/event_logging/batch", CLAUDE, "type", "not_found_error"),
        ("GET", "/api/hello", {"user-agent": "claude-cli/2.0.1 (external, cli)"}, "type", "not_found_error"),
        ("GET", "/api/oauth/profile", {"user-agent": "claude-code/2.0.1"}, "type", "not_found_error"),
        ("POST", "/v1/files", {}, "code", "unknown_url"),
        ("POST", "/openai/v1/files", CLAUDE, "code", "unknown_url"),
    ],
)
async def test_what_is_not_there_is_said_in_the_clients_format(
    worker: RunningWorker, method: str, path: str, headers: dict[str, str], where: str, kind: str
) -> None:
    response = await worker.client.request(method, path, headers=headers)
    assert response.status_code in (404, 405)
    assert response.json()["error"][where] == kind
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "root", ["/v1beta", "/v1alpha", "/v1beta1", "/gemini/v1alpha", "/v1beta1/publishers/google", VERTEX]
)
async def test_all_versions_of_googles_api_are_one(worker: RunningWorker, upstream: Upstream, root: str) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    upstream.script = complete()
    for model in ("own", "acme%2Fown"):
        response = await worker.client.post(f"{root}/models/{model}:generateContent", json=body)
        assert (response.status_code, response.json()["candidates"][0]["finishReason"]) == (200, "STOP")
        assert upstream.requests[-1].json["model"] == "own"
        counted = await worker.client.post(f"{root}/models/{model}:countTokens", json=body)
        assert counted.json()["totalTokens"] > 0


async def test_what_is_managements_stays_so(worker: RunningWorker) -> None:
    """There is no control process here; that it is asked shows."""
    page = {"accept": "text/html,*/*"}
    asked = (("/api/v1/keys", CLAUDE), ("/", page), ("/api/claude_cli/bootstrap", {}), ("/docs", {}))
    answers = await asyncio.gather(*(worker.client.get(path, headers=headers) for path, headers in asked))
    assert [answer.status_code for answer in answers] == [503] * len(asked)


async def test_anthropics_clients_find_the_requests_id(worker: RunningWorker, upstream: Upstream) -> None:
    body = {"model": "own", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
    for path in ("/v1/messages", "/anthropic/v1/messages", "/v1/messages/count_tokens"):
        for asked in (body, {}):
            response = await worker.client.post(path, json=asked)
            assert response.headers["request-id"] == response.headers["x-request-id"]
    assert "request-id" not in (await worker.client.post("/v1/chat/completions", json=body)).headers


async def test_pages_may_call_a_private_network(worker: RunningWorker) -> None:
    headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
    asking = {**headers, "access-control-request-private-network": "true"}
    response = await worker.client.options("/v1/chat/completions", headers=asking)
    assert response.headers["access-control-allow-private-network"] == "true"
    response = await worker.client.options("/v1/chat/completions", headers=headers)
    assert "access-control-allow-private-network" not in response.headers
