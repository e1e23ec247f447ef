"""Compressed bodies through a worker: of any endpoint's requests, and of an upstream's answers and errors."""

import gzip
import json
from collections.abc import Callable

import brotli
import httpx
import pytest
from backports import zstd

from tests.fixtures.upstream import DONE, USAGE_CHUNK, Upstream, answer, chunk, completion, framed, send
from tests.fixtures.worker import RunningWorker

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "gzip, zstd": lambda data: zstd.compress(gzip.compress(data)),
}
MESSAGES = [{"role": "user", "content": "Hi " * 1000}]
CHAT = {"model": "gpt-4o-mini", "messages": MESSAGES}
ANTHROPIC = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": MESSAGES}
GEMINI = {"contents": [{"parts": [{"text": "Hi"}]}]}
EMBEDDINGS = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
# Path, body, what the upstream answers.
ENDPOINTS = {
    "chat": ("/v1/chat/completions", CHAT, completion()),
    "anthropic": ("/v1/messages", ANTHROPIC, completion()),
    "gemini": ("/v1beta/models/gpt-4o-mini:generateContent", GEMINI, completion()),
    "responses": ("/v1/responses", {"model": "gpt-4o-mini", "input": "Hi", "store": False}, completion()),
    "embeddings": ("/v1/embeddings", {"model": "gpt-4o-mini", "input": "Hi"}, EMBEDDINGS),
    "anthropic counts": ("/v1/messages/count_tokens", {"model": "gpt-4o-mini", "messages": MESSAGES}, None),
    "gemini counts": ("/v1beta/models/gpt-4o-mini:countTokens", GEMINI, None),
}


def compressed(worker: RunningWorker, path: str, coding: str, body: bytes, **headers: str) -> httpx.Request:
    headers = {"content-type": "application/json", "content-encoding": coding, **headers}
    return worker.client.build_request("POST", path, content=ENCODERS[coding](body), headers=headers)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_requests(endpoint: str, worker: RunningWorker, upstream: Upstream) -> None:
    """What is asked is what is in the body, and the upstream is told nothing of its coding."""
    path, body, answered = ENDPOINTS[endpoint]
    upstream.script = send(answer(200, json.dumps(answered).encode()))
    plain = await worker.client.post(path, json=body)
    for coding in ENCODERS:
        response = await worker.client.send(compressed(worker, path, coding, json.dumps(body).encode()))
        assert response.status_code == plain.status_code == 200, response.text
        if answered is None:
            assert response.json() == plain.json()
    for request in upstream.requests:
        assert request.json == upstream.requests[0].json
        assert "content-encoding" not in request.headers
        assert request.headers["accept-encoding"] == "identity"
    assert len(upstream.requests) == (0 if answered is None else 1 + len(ENCODERS))


async def test_a_form(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = send(answer(200, b'{"text":"Hello."}'))
    form = worker.client.build_request(
        "POST", "/v1/audio/transcriptions", data={"model": "gpt-4o-mini"}, files={"file": ("a.wav", b"RIFF" * 9000)}
    )
    request = compressed(
        worker, form.url.path, "zstd", await form.aread(), **{"content-type": form.headers["content-type"]}
    )
    response = await worker.client.send(request)
    assert (response.status_code, response.json()["text"]) == (200, "Hello.")
    assert upstream.requests[-1].body.count(b"RIFF") == 9000


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_requests_that_cannot_be_read(endpoint: str, worker: RunningWorker, upstream: Upstream) -> None:
    path = ENDPOINTS[endpoint][0]
    for coding, status in {"compress": 415, "zstd": 400}.items():
        response = await worker.client.post(path, content=b"{}" * 100, headers={"content-encoding": coding})
        assert response.status_code == status
        assert "content-encoding" in response.json()["error"]["message"]
        assert ("accept-encoding" in response.headers) == (status == 415)
    bomb = compressed(worker, path, "zstd", b" " * 40_000_000)
    assert (await worker.client.send(bomb)).status_code == 413
    assert not upstream.requests
    assert (await worker.record(3)).outcome == "rejected"


async def test_a_key_comes_first(worker: RunningWorker) -> None:
    """Nobody without a key has anything decoded."""
    request = compressed(worker, "/v1/chat/completions", "zstd", b" " * 40_000_000, authorization="Bearer sk-wrong")
    assert (await worker.client.send(request)).status_code == 401


def coded(body: bytes, coding: str, status: int = 200) -> bytes:
    return answer(status, ENCODERS[coding](body), f"content-encoding: {coding}")


@pytest.mark.parametrize("endpoint", ["chat", "anthropic", "gemini", "responses", "embeddings"])
async def test_answers(endpoint: str, worker: RunningWorker, upstream: Upstream) -> None:
    path, body, answered = ENDPOINTS[endpoint]
    upstream.script = send(answer(200, json.dumps(answered).encode()))
    plain = await worker.client.post(path, json=body)
    for coding in ENCODERS:
        upstream.script = send(coded(json.dumps(answered).encode(), coding))
        response = await worker.client.post(path, json=body)
        assert response.status_code == 200
        assert "content-encoding" not in response.headers
        assert set(plain.json()) == set(response.json())
        assert ("Hello there." in response.text) == (endpoint != "embeddings")
    records = worker.records()
    assert len({(each.prompt_tokens, each.completion_tokens, each.measured) for each in records}) == 1
    assert len(records) == 1 + len(ENCODERS)


@pytest.mark.parametrize("endpoint", ["chat", "anthropic"])
async def test_streams(endpoint: str, worker: RunningWorker, upstream: Upstream) -> None:
    path, body, _ = ENDPOINTS[endpoint]
    events = chunk("Hello ") + chunk("there.") + chunk(finish="stop") + USAGE_CHUNK + DONE
    for count, coding in enumerate(ENCODERS, 1):
        sent = ENCODERS[coding](events)
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: {coding}\r\n"
        pieces = b"".join(framed(sent[at : at + 11]) for at in range(0, len(sent), 11))
        upstream.script = send(head.encode() + b"transfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")
        response = await worker.client.post(path, json={**body, "stream": True})
        assert (response.status_code, "content-encoding" in response.headers) == (200, False)
        assert "Hello " in response.text
        assert "there." in response.text
        assert "error" not in response.text
        record = await worker.record(count)
        assert (record.outcome, record.completion_tokens, record.measured) == ("ok", 5, True)


@pytest.mark.parametrize("endpoint", ["chat", "anthropic", "gemini", "responses", "embeddings"])
async def test_errors(endpoint: str, worker: RunningWorker, upstream: Upstream) -> None:
    path, body, _ = ENDPOINTS[endpoint]
    refusal = {"error": {"message": "The moon is in the wrong phase.", "type": "invalid_request_error"}}
    for coding in ENCODERS:
        upstream.script = send(coded(json.dumps(refusal).encode(), coding, 400))
        response = await worker.client.post(path, json=body)
        assert response.status_code == 400
        assert "The moon is in the wrong phase." in response.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "coding"), [(200, "compress"), (200, "gzip"), (400, "compress"), (400, "gzip")])
async def test_answers_that_cannot_be_read(
    status: int, coding: str, stream: bool, worker: RunningWorker, upstream: Upstream
) -> None:
    upstream.script = send(answer(status, b"not gzip, nor compress", f"content-encoding: {coding}"))
    response = await worker.client.post("/v1/chat/completions", json={**CHAT, "stream": stream})
    if status == 400:
        # Nothing can be told of it but that.
        assert response.status_code == 400
        return
    assert response.status_code == 502
    error = response.json()["error"]
    assert error["code"] == "upstream_failed"
    assert "acme" in error["message"]
    assert "coding" in error["message"]
