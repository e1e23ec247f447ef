"""A request's whole way through a real worker process: answers, errors, streams, and the one record of each."""

import asyncio
import json
import time

import httpx
import pytest

from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    USAGE_CHUNK,
    Upstream,
    answer,
    chunk,
    completion,
    framed,
    hang,
    send,
    stream,
)
from tests.fixtures.worker import RunningWorker
from weebill.accounts.keyring import GRACE_S
from weebill.storage.keys import open_keys

CHAT = "/v1/chat/completions"
HELLO: dict[str, object] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}
STREAMED = {**HELLO, "stream": True}


def error_of(response: httpx.Response) -> dict[str, object]:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert response.headers["x-request-id"].startswith("req_")
    error: dict[str, object] = body["error"]
    return error


@pytest.mark.parametrize("path", [CHAT, "/openai/v1/chat/completions"])
@pytest.mark.parametrize("model", ["gpt-4o-mini", "acme/gpt-4o-mini", "large", "biggest"])
async def test_an_answer_and_its_record(worker: RunningWorker, upstream: Upstream, path: str, model: str) -> None:
    response = await worker.client.post(path, json={**HELLO, "model": model, "x_new": {"a": [1]}})
    assert response.status_code == 200
    assert response.json() == completion()

    [request] = upstream.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json == {**HELLO, "model": "gpt-4o-mini", "x_new": {"a": [1]}}
    assert request.headers["authorization"] == "Bearer upstream-secret"

    record = await worker.record()
    assert record.request_id == response.headers["x-request-id"]
    assert (record.endpoint, record.model_asked, record.model_served) == ("chat.completions", model, "gpt-4o-mini")
    assert (record.upstream, record.status, record.outcome, record.stream) == ("acme", 200, "ok", False)
    assert (record.prompt_tokens, record.cached_tokens, record.completion_tokens) == (12, 3, 5)
    assert record.measured
    assert 0 < record.first_byte_us <= record.total_us < 10_000_000
    assert abs(record.started_at / 1e6 - time.time()) < 60


async def test_completions_too(worker: RunningWorker, upstream: Upstream) -> None:
    response = await worker.client.post("/v1/completions", json={"model": "other", "prompt": "Once"})
    assert response.status_code == 200
    assert upstream.requests[0].path == "/v1/completions"
    assert (await worker.record()).endpoint == "completions"


async def test_the_clients_headers_stay_here_unless_listed(worker: RunningWorker, upstream: Upstream) -> None:
    headers = {"X-Trace": "abc", "X-Private": "secret", "Cookie": "a=b", "User-Agent": "test"}
    await worker.client.post(CHAT, json=HELLO, headers=headers)
    sent = upstream.requests[0].headers
    assert sent["x-trace"] == "abc"
    assert not {"x-private", "cookie", "user-agent"} & set(sent)
    assert worker.key not in str(sent)


async def test_connections_to_the_upstream_are_reused(worker: RunningWorker, upstream: Upstream) -> None:
    for _ in range(5):
        assert (await worker.client.post(CHAT, json=HELLO)).status_code == 200
    assert upstream.connections == 1


UNAUTHENTICATED = [
    ({}, "missing_api_key"),
    ({"authorization": ""}, "missing_api_key"),
    ({"authorization": "Basic abc"}, "missing_api_key"),
    ({"authorization": "Bearer"}, "missing_api_key"),
    ({"authorization": "Bearer sk-wb-wrong"}, "invalid_api_key"),
    ({"authorization": "Bearer sk-other"}, "invalid_api_key"),
]


@pytest.mark.parametrize(("headers", "code"), UNAUTHENTICATED)
async def test_who_has_no_key_gets_nothing(
    worker: RunningWorker, upstream: Upstream, headers: dict[str, str], code: str
) -> None:
    async with httpx.AsyncClient(base_url=worker.url, timeout=60, trust_env=False) as client:
        for method, path in [
            ("POST", CHAT),
            ("POST", "/v1/completions"),
            ("GET", "/v1/models"),
            ("GET", "/v1/models/x"),
        ]:
            response = await client.request(method, path, headers=headers, json=HELLO if method == "POST" else None)
            assert response.status_code == 401
            assert error_of(response)["code"] == code
            assert response.headers["www-authenticate"] == "Bearer"
    assert not upstream.requests
    assert not worker.records()


async def test_a_revoked_key_is_dead_as_soon_as_it_is_told(worker: RunningWorker) -> None:
    with open_keys(worker.home, SQLITE) as keys:
        created = keys.create("short-lived")
        headers = {"authorization": f"Bearer {created.secret}"}
        assert (await worker.client.get("/v1/models", headers=headers)).status_code == 200
        keys.revoke(created.key.id)
    async with asyncio.timeout(GRACE_S / 2):  # without news, it would be believed for longer
        while (await worker.client.get("/v1/models", headers=headers)).status_code == 200:
            await asyncio.sleep(0.02)
    assert (await worker.client.get("/v1/models")).status_code == 200


REFUSED = [
    ("POST", CHAT, b"{", 400, "invalid_json", None),
    ("POST", CHAT, b'{"model":"gpt-4o-mini"}', 400, "missing_required_parameter", "messages"),
    ("POST", CHAT, b'{"model":"nope","messages":[{"role":"user","content":"x"}]}', 404, "model_not_found", "model"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "param"), REFUSED)
async def test_a_bad_request_is_refused_and_recorded(
    worker: RunningWorker, upstream: Upstream, method: str, path: str, body: bytes, status: int, code: str, param: str
) -> None:
    response = await worker.client.request(method, path, content=body)
    assert response.status_code == status
    error = error_of(response)
    assert (error["code"], error["param"]) == (code, param)
    assert not upstream.requests
    record = await worker.record()
    assert (record.status, record.outcome, record.completion_tokens, record.measured) == (status, "rejected", 0, True)


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", CHAT, 405, "method_not_allowed", "POST"),
        ("DELETE", "/v1/models/gpt-4o-mini", 405, "method_not_allowed", "GET, HEAD"),
        ("POST", "/v1/models", 405, "method_not_allowed", "GET, HEAD"),
        ("POST", "/v1/files", 404, "unknown_url", None),
        ("GET", "/v1", 404, "unknown_url", None),
        ("GET", "/v1/models/", 404, "unknown_url", None),
        ("GET", "/openai/v1/nothing", 404, "unknown_url", None),
    ],
)
async def test_paths_that_are_not_there(
    worker: RunningWorker, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    response = await worker.client.request(method, path)
    assert response.status_code == status
    assert error_of(response)["code"] == code
    assert response.headers.get("allow") == allow


async def test_models(worker: RunningWorker) -> None:
    listed = (await worker.client.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [(card["id"], card["owned_by"]) for card in listed["data"]] == [
        ("large", "weebill"),
        ("biggest", "weebill"),
        ("gpt-4o-mini", "acme"),
        ("other", "acme"),
    ]
    for name in ["gpt-4o-mini", "large", "acme/gpt-4o-mini", "acme%2Fgpt-4o-mini"]:
        card = (await worker.client.get(f"/openai/v1/models/{name}")).json()
        assert card["id"] == name.replace("%2F", "/")
        assert card["object"] == "model"
        assert isinstance(card["created"], int)
    assert error_of(await worker.client.get("/v1/models/nope"))["code"] == "model_not_found"


async def test_health_and_readiness(worker: RunningWorker) -> None:
    assert (await worker.client.get("/healthz")).json() == {"status": "ok"}
    ready = await worker.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["ready"] is True


UPSTREAM_ERRORS = [
    (answer(400, b'{"error":{"message":"bad n","param":"n","code":"x"}}'), 400, "x", "rejected"),
    (answer(401, b'{"error":{"message":"bad key"}}'), 502, "upstream_credential_refused", "rejected"),
    (answer(429, b'{"error":{"message":"slow"}}', "retry-after: 7"), 429, "rate_limit_exceeded", "rejected"),
    (answer(500, b"oops"), 500, "upstream_error", "upstream_error"),
    (answer(503, b'{"error":{"message":"later","code":"busy"}}'), 503, "busy", "upstream_error"),
    (answer(200, b"<html>"), 502, "upstream_invalid_answer", "upstream_error"),
    (answer(200, b'{"error":{"message":"no"}}'), 502, "upstream_error", "upstream_error"),
    (b"garbage\r\n\r\n", 502, "upstream_failed", "upstream_error"),
    (b"", 502, "upstream_failed", "upstream_error"),
    (answer(200, b"{}")[:-1], 502, "upstream_failed", "upstream_error"),
]  # fmt: skip


@pytest.mark.parametrize("body", [HELLO, STREAMED])
@pytest.mark.parametrize(("data", "status", "code", "outcome"), UPSTREAM_ERRORS)
async def test_an_upstreams_failure(
    worker: RunningWorker,
    upstream: Upstream,
    data: bytes,
    status: int,
    code: str | None,
    outcome: str,
    body: dict[str, object],
) -> None:
    upstream.script = send(data, close=True)
    response = await worker.client.post(CHAT, json=body)
    if body is STREAMED and code == "upstream_invalid_answer":
        code = "upstream_cut"  # as a stream, it is one that never came to its end
    assert response.status_code == status, response.text
    assert error_of(response)["code"] == code
    if status == 429:
        assert response.headers["retry-after"] == "7"
    record = await worker.record()
    assert (record.status, record.outcome) == (status, outcome)


async def test_an_upstream_that_is_not_there(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = send(b"", close=True)
    await worker.client.post(CHAT, json=HELLO)
    record = await worker.record()
    assert (record.outcome, record.measured) == ("upstream_error", False)


@pytest.mark.parametrize("script", [hang(), send(answer(200, b"{}")[:-1]), stream(chunk("a"), pause_s=5)])
async def test_an_upstream_that_is_too_slow(worker: RunningWorker, upstream: Upstream, script: object) -> None:
    upstream.script = script  # type: ignore[assignment]
    response = await worker.client.post(CHAT, json=HELLO)
    assert response.status_code == 504
    assert error_of(response)["code"] == "upstream_timeout"
    assert (await worker.record()).outcome == "timeout"
    await asyncio.wait_for(upstream.requests[0].closed.wait(), 60)


@pytest.mark.parametrize("status", [201, 202, 203])
async def test_an_answer_counts_under_any_status_that_comes_with_one(
    status: int, worker: RunningWorker, upstream: Upstream
) -> None:
    upstream.script = send(answer(status, json.dumps(completion()).encode()))
    response = await worker.client.post(CHAT, json=HELLO)
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"] == "Hello there."


async def test_a_stream_is_relayed_as_it_comes(worker: RunningWorker, upstream: Upstream) -> None:
    gate = asyncio.Event()

    async def script(request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(chunk("Hel", begins=True)))
        await gate.wait()
        writer.write(framed(chunk("lo")) + framed(chunk("", "stop") + USAGE_CHUNK) + framed(DONE) + b"0\r\n\r\n")

    upstream.script = script
    async with worker.client.stream("POST", CHAT, json=STREAMED) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        data = response.aiter_bytes()
        assert await anext(data) == chunk("Hel", begins=True)
        gate.set()
        assert b"".join([piece async for piece in data]) == chunk("lo") + chunk("", "stop") + DONE
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}
    record = await worker.record()
    assert (record.stream, record.outcome, record.measured) == (True, "ok", True)
    assert (record.prompt_tokens, record.cached_tokens, record.completion_tokens) == (12, 3, 5)


async def test_the_usage_chunk_is_for_who_asked(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = stream(chunk("Hi", begins=True), chunk("", "stop"), USAGE_CHUNK, DONE)
    response = await worker.client.post(CHAT, json={**STREAMED, "stream_options": {"include_usage": True}})
    assert response.content == chunk("Hi", begins=True) + chunk("", "stop") + USAGE_CHUNK + DONE


CUTS = [
    (stream(chunk("Hi", begins=True), end=False), "upstream_failed"),  # the connection is cut
    (stream(chunk("Hi", begins=True)), "upstream_cut"),  # a clean end of the body, but not of the answer
    (stream(chunk("Hi", begins=True), b'data: {"error":{"message":"boom","code":"mid"}}\n\n'), "mid"),
    (stream(chunk("Hi", begins=True), b"x" * 10, pause_s=2), "upstream_timeout"),
]


@pytest.mark.parametrize(("script", "code"), CUTS)
async def test_a_cut_stream_ends_in_an_error_event(
    worker: RunningWorker, upstream: Upstream, script: object, code: str
) -> None:
    upstream.script = script  # type: ignore[assignment]
    response = await worker.client.post(CHAT, json=STREAMED)
    first, last = response.content.removesuffix(b"\n\n").split(b"\n\n")
    assert first + b"\n\n" == chunk("Hi", begins=True)
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == code
    record = await worker.record()
    assert record.outcome == ("timeout" if code == "upstream_timeout" else "upstream_error")
    assert not record.measured
