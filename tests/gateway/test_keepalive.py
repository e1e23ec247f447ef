"""Signs of life in the silent phases of a stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    USAGE_CHUNK,
    Request,
    Script,
    Upstream,
    answer,
    chunk,
    framed,
    running_upstream,
    send,
    stream,
)  # fmt: skip
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings

KEEPALIVE_S = 0.2
HI = [{"role": "user", "content": "hi"}]
COMMENT = ": keep-alive\n\n"
PING = 'event: ping\ndata: {"type": "ping"}\n\n'
# By API: path, body, the sign, what ends a complete stream, what an error looks like.
APIS = {
    "chat": ("/v1/chat/completions", {"messages": HI}, COMMENT, "data: [DONE]", '"code":"'),
    "completions": ("/v1/completions", {"prompt": "hi"}, COMMENT, "data: [DONE]", '"code":"'),
    "messages": ("/v1/messages", {"messages": HI, "max_tokens": 9}, PING, '"message_stop"', "event: error"),
    "responses": ("/v1/responses", {"input": "hi"}, COMMENT, "response.completed", '"type":"error"'),
    "gemini": ("/v1beta/models/m:streamGenerateContent?alt=sse", {}, "\r\n", '"STOP"', '"code":5'),
    "ollama": ("/api/chat", {"messages": HI}, " ", '"done_reason":"stop"', '"status":5'),
    "generate": ("/api/generate", {"prompt": "hi"}, " ", '"done_reason":"stop"', '"status":5'),
    "array": ("/v1beta/models/m:streamGenerateContent", {}, "\r\n", '"STOP"', '"code":5'),
}
ANSWER = (chunk("Hi"), chunk("", "stop"), USAGE_CHUNK, DONE)


def asked(api: str, **more: object) -> tuple[str, dict[str, object]]:
    path, body, *_ = APIS[api]
    if not body:
        return path, {"contents": [{"parts": [{"text": "hi"}]}], **more}
    return path, {**body, "model": "m", "stream": True, **more}


def silent(pause_s: float, then: Script) -> Script:
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(pause_s)
        await then(request, writer)

    return script


def settings(keepalive_s: float, *upstreams: Upstream) -> Settings:
    providers = {
        f"p{at}": ProviderSettings(base_url=each.base_url, api_key="k", models=("m",), tier=at, idle_timeout_s=5.0)
        for at, each in enumerate(upstreams)
    }
    server = ServerSettings(port=0, keepalive_s=keepalive_s)
    return Settings(server=server, local=LocalSettings(models=()), providers=providers)


@pytest.fixture
async def worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    async with running_upstream() as other:
        other.script = stream(*ANSWER)
        async with running_worker(tmp_path / "home", settings(KEEPALIVE_S, upstream, other)) as running:
            yield running


async def answers(worker: RunningWorker) -> list[tuple[str, httpx.Response]]:
    """By API, what each answers; all of them wait at the same time."""
    asking = [worker.client.post(path, json=body) for path, body in map(asked, APIS)]
    return [*zip(APIS, await asyncio.gather(*asking), strict=True)]


async def test_before_the_first_content_and_between_pieces(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = silent(0.5, stream(*ANSWER, pause_s=0.5))
    for api, response in await answers(worker):
        _, _, sign, end, error = APIS[api]
        assert response.status_code == 200, api
        assert response.text.startswith(sign), api
        assert response.text.count(sign) >= 2, api
        _, said, after = response.text.partition("Hi")
        assert said, api
        assert sign in after, api
        assert end in after, api
        assert error not in response.text, api
        if api == "array":
            assert len(json.loads(response.text)) >= 2


async def test_another_may_still_answer(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = silent(0.5, send(answer(500, b"{}")))
    for api, response in await answers(worker):
        assert response.text.startswith(APIS[api][2]), api
        assert "Hi" in response.text, api
    await worker.record(len(APIS))
    found = {(each.upstream, each.status, each.outcome) for each in worker.records()}
    assert found == {("p1", 200, "ok")}


async def test_a_failure_is_then_an_event(tmp_path: Path, upstream: Upstream) -> None:
    async with running_worker(tmp_path / "home", settings(KEEPALIVE_S, upstream)) as worker:
        upstream.script = silent(0.5, send(answer(500, b'{"error":{"message":"broken"}}')))
        for api, response in await answers(worker):
            assert response.status_code == 200, api
            assert response.text.startswith(APIS[api][2]), api
            assert APIS[api][4] in response.text.replace(" ", "") or APIS[api][4] in response.text, api
            assert "broken" in response.text, api
            assert APIS[api][3] not in response.text, api
        await worker.record(len(APIS))
        assert {(each.status, each.outcome) for each in worker.records()} == {(500, "upstream_error")}


async def test_the_early_head_says_who_is_being_asked_and_what_that_one_is_not_told(
    worker: RunningWorker, upstream: Upstream
) -> None:
    """And nothing of who answers in the end, which only the record can say."""
    upstream.script = silent(0.5, send(answer(500, b"{}")))
    path, body = asked("gemini", safetySettings=[{"category": "X"}])
    response = await worker.client.post(path, json=body)
    route, model, policy = response.headers["x-weebill-route"].split(";")
    assert route.startswith("p0:waiting:")
    assert (model, policy) == ("model=m", "policy=price")
    assert response.headers["x-weebill-dropped"] == "safetySettings"
    record = await worker.record()
    assert [each.rsplit(":", 1)[0] for each in record.attempts.split(",")] == ["p0/m:500", "p0/m:500", "p1/m:200"]
    assert record.dropped == "safetySettings"


async def test_who_has_failed_by_then_is_in_the_early_head(tmp_path: Path, upstream: Upstream) -> None:
    async with running_upstream() as other:
        upstream.script = send(answer(503, b"{}"))
        other.script = silent(0.5, stream(*ANSWER))
        async with running_worker(tmp_path / "home", settings(KEEPALIVE_S, upstream, other)) as worker:
            path, body = asked("chat")
            response = await worker.client.post(path, json=body)
            first, second = response.headers["x-weebill-route"].split(";")[0].split(",")
            assert first.startswith("p0:503:")
            assert second.startswith("p1:waiting:")
            assert "x-weebill-dropped" not in response.headers


async def test_whole_answers_have_none_and_quick_ones_need_none(worker: RunningWorker, upstream: Upstream) -> None:
    path, body = asked("chat")
    upstream.script = stream(*ANSWER)
    assert ": keep-alive" not in (await worker.client.post(path, json=body)).text
    upstream.script = silent(0.5, send(answer(400, b'{"error":{"message":"no"}}')))
    response = await worker.client.post(path, json={**body, "stream": False})
    assert response.status_code == 400


async def test_zero_is_never(tmp_path: Path, upstream: Upstream) -> None:
    async with running_worker(tmp_path / "home", settings(0, upstream)) as worker:
        upstream.script = silent(0.5, send(answer(400, b'{"error":{"message":"no"}}')))
        path, body = asked("chat")
        assert (await worker.client.post(path, json=body)).status_code == 400


async def test_upstreams_signs_are_life_and_passed_on(tmp_path: Path, upstream: Upstream) -> None:
    """With an upstream that would be given up after less silence than there is between its words."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(ANSWER[0]))
        for _ in range(12):
            await asyncio.sleep(0.1)
            writer.write(framed(b": PROCESSING\n\n"))
        writer.write(b"".join(framed(each) for each in ANSWER[1:]) + b"0\r\n\r\n")

    upstream.script = script
    plain = settings(0, upstream)
    provider = ProviderSettings(base_url=upstream.base_url, api_key="k", models=("m",), idle_timeout_s=1.0)
    async with running_worker(tmp_path / "home", Settings(
        server=plain.server, local=plain.local, providers={"p0": provider}
    )) as worker:  # fmt: skip
        path, body = asked("chat")
        response = await worker.client.post(path, json=body)
        assert response.text.count(": PROCESSING") == 12
        assert response.text.endswith("data: [DONE]\n\n")
