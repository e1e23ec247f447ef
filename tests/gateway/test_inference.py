"""A request's whole way through a real worker process: answers, errors, streams, and the one record of each."""

import asyncio
import json
import time

import httpx
import pytest

from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    USAGE_CHUNK,
    Upstream,
    answer,
    chunk,
    complete,
    completion,
    framed,
    hang,
    send,
    stream,
)
from tests.fixtures.worker import RunningWorker
from weebill.process.messages import Drain
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
    async with httpx.AsyncClient(base_url=worker.url, trust_env=False) as client:
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


async def test_a_revoked_key_is_dead_within_a_second(worker: RunningWorker) -> None:
    with open_keys(worker.home) as keys:
        created = keys.create("short-lived")
        headers = {"authorization": f"Bearer {created.secret}"}
        assert (await worker.client.get("/v1/models", headers=headers)).status_code == 200
        keys.revoke(created.key.id)
    deadline = time.monotonic() + 1.0
    while (await worker.client.get("/v1/models", headers=headers)).status_code == 200:
        assert time.monotonic() < deadline, "the key was still believed after a second"
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
        ("DELETE", "/v1/models/gpt-4o-mini", 405, "method_not_allowed", "GET"),
        ("POST", "/v1/models", 405, "method_not_allowed", "GET"),
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
    await asyncio.wait_for(upstream.requests[0].closed.wait(), 1)


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


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_takes_the_upstream_call_with_it(
    worker: RunningWorker, upstream: Upstream, streamed: bool
) -> None:
    upstream.script = stream(chunk(begins=True), *[chunk("x")] * 1000, pause_s=0.01) if streamed else hang()
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    body = json.dumps(STREAMED if streamed else HELLO).encode()
    writer.write(post_head(worker, len(body)) + body)
    for _ in range(3 * streamed):
        await reader.readuntil(chunk("x"))
    async with asyncio.timeout(5):
        while not upstream.requests:
            await asyncio.sleep(0.005)
    writer.close()
    await asyncio.wait_for(upstream.requests[0].closed.wait(), 5)
    # Whom no timeout has ended, and no end of the answer: the outcomes of those are others.
    record = await worker.record()
    assert (record.status, record.outcome, record.measured) == (499, "client_cancelled", False)
    assert record.prompt_tokens > 0
    assert (record.completion_tokens > 0) == streamed


def post_head(worker: RunningWorker, length: int) -> bytes:
    """The head of a chat request with a body of that many bytes."""
    lines = (f"POST {CHAT} HTTP/1.1", "host: x", f"authorization: Bearer {worker.key}", f"content-length: {length}")
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


async def test_a_body_too_large_is_recorded_as_what_the_client_was_told(worker: RunningWorker) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    writer.write(post_head(worker, 10**12) + b"{")
    assert b" 413 " in await reader.readline()
    writer.close()
    record = await worker.record()
    assert (record.status, record.outcome) == (413, "rejected")


async def test_what_a_drain_cuts_off_is_not_put_down_to_the_client(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = hang()
    call = asyncio.create_task(worker.client.post(CHAT, json=HELLO))
    async with asyncio.timeout(5):
        while not upstream.requests:
            await asyncio.sleep(0.005)
    worker.link.send(Drain(grace_s=0.05))
    with pytest.raises(httpx.TransportError):
        await call
    assert await asyncio.wait_for(worker.process.wait(), 5) == 0
    record = await worker.record()
    assert (record.status, record.outcome, record.measured) == (503, "gateway_error", False)


async def test_times_are_finer_than_milliseconds(worker: RunningWorker) -> None:
    for _ in range(5):
        await worker.client.post(CHAT, json=HELLO)
    await worker.record(5)
    assert any(record.total_us % 1000 for record in worker.records())
    assert any(record.first_byte_us % 1000 for record in worker.records())


async def test_connections_and_requests_under_way_are_shown(worker: RunningWorker, upstream: Upstream) -> None:
    async def shown(connections: int, in_flight: int) -> None:
        lines = {f'weebill_connections{{worker="0"}} {connections}', f'weebill_in_flight{{worker="0"}} {in_flight}'}
        async with asyncio.timeout(5):
            while not lines <= set((await worker.client.get("/metrics")).text.splitlines()):
                await asyncio.sleep(0.05)

    upstream.script = hang()
    await shown(1, 0)
    _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    body = json.dumps(HELLO).encode()
    writer.write(post_head(worker, len(body)) + body)
    await shown(2, 1)
    writer.close()
    await shown(1, 0)


async def test_who_looks_on_is_no_request_under_way(worker: RunningWorker) -> None:
    asked = asyncio.Event()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(control, worker.home.control_socket):
        _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(b"GET /api/v1/live HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        await asyncio.wait_for(asked.wait(), 5)
        expected = {'weebill_connections{worker="0"} 2', 'weebill_in_flight{worker="0"} 0'}
        async with asyncio.timeout(5):
            while not expected <= set((await worker.client.get("/metrics")).text.splitlines()):
                await asyncio.sleep(0.05)
        writer.close()


async def test_no_more_requests_at_once_than_the_upstream_may_have(worker: RunningWorker, upstream: Upstream) -> None:
    release = asyncio.Event()

    async def script(request: object, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer(200, json.dumps(completion()).encode()))

    upstream.script = script
    calls = [asyncio.create_task(worker.client.post(CHAT, json=HELLO)) for _ in range(8)]
    async with asyncio.timeout(5):
        while len(upstream.requests) < 8:
            await asyncio.sleep(0.01)
    refused = await worker.client.post(CHAT, json=HELLO)
    assert refused.status_code == 503
    assert error_of(refused)["code"] == "overloaded"
    assert refused.headers["retry-after"] == "1"
    release.set()
    assert {response.status_code for response in await asyncio.gather(*calls)} == {200}


async def test_each_request_is_counted(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = complete()
    for _ in range(3):
        await worker.client.post(CHAT, json=HELLO)
    await worker.client.post(CHAT, json={})
    text = (await worker.client.get("/metrics")).text
    assert 'weebill_requests_total{endpoint="chat.completions",status="200"} 3' in text
    assert 'weebill_requests_total{endpoint="chat.completions",status="400"} 1' in text
    assert 'weebill_tokens_total{model="gpt-4o-mini",kind="prompt"} 36' in text
    assert 'weebill_upstream_requests_total{upstream="acme",outcome="ok"} 3' in text
    assert worker.key not in text
