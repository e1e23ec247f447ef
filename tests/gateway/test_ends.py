"""A stream is over when its last event has come, whatever its upstream does with the connection then."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    USAGE_CHUNK,
    Request,
    Script,
    Upstream,
    chunk,
    framed,
    send,
    stream,
)
from tests.fixtures.upstream import answer as answer_of
from tests.fixtures.worker import RunningWorker, running_worker
from tests.recorded.sdks import read
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings

HI = [{"role": "user", "content": "hi"}]
IDLE_S = 30.0  # far longer than a test may take


def sse(*events: dict[str, object]) -> tuple[bytes, ...]:
    return tuple(
        (f"event: {each['type']}\n" if "type" in each else "").encode()
        + b"data: "
        + json.dumps(each).encode()
        + b"\n\n"
        for each in events
    )


ANSWERS = {
    "openai": (chunk("Hi"), chunk("", "stop"), USAGE_CHUNK, DONE),
    "openai, no [DONE]": (chunk("Hi"), chunk("", "stop"), USAGE_CHUNK),
    "openai, no usage": (chunk("Hi"), chunk("", "stop")),
    "anthropic": sse(
        {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ),
    "openai-responses": sse(
        {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}},
        {
            "type": "response.output_item.added", "output_index": 0,
            "item": {"type": "message", "id": "i", "role": "assistant", "status": "in_progress", "content": []},
        },
        {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0, "delta": "Hi"},
        {
            "type": "response.completed",
            "response": {
                "id": "r", "status": "completed", "usage": {"input_tokens": 1, "output_tokens": 2},
                "output": [
                    {
                        "type": "message", "id": "i", "role": "assistant", "status": "completed",
                        "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
                    }
                ],
            },
        },
    ),
    "gemini": sse(
        {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "index": 0}]},
        {
            "candidates": [{"content": {"parts": [{"text": "!"}]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2},
        },
    ),
}  # fmt: skip
# How many of them make an answer complete.
LAST = {
    "openai": 3, "openai, no [DONE]": 2, "openai, no usage": 1, "anthropic": 2, "openai-responses": 1, "gemini": 1,
}  # fmt: skip
# By API: path, body, and what ends a complete stream.
APIS = {
    "chat": ("/v1/chat/completions", {"messages": HI, "stream": True}, "data: [DONE]"),
    "messages": ("/v1/messages", {"messages": HI, "max_tokens": 99, "stream": True}, '"message_stop"'),
    "responses": ("/v1/responses", {"input": "hi", "stream": True}, '"response.completed"'),
    "gemini": (
        "/v1beta/models/{}:streamGenerateContent?alt=sse",
        {"contents": [{"parts": [{"text": "hi"}]}]},
        '"STOP"',
    ),
}


def lingering(*events: bytes) -> Script:
    """Answer, and leave the body open."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(framed(event) for event in events))
        await asyncio.Event().wait()

    return script


def resetting(*events: bytes) -> Script:
    """Answer, and reset the connection soon after."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(framed(event) for event in events))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    return script


def settings(upstream: Upstream) -> Settings:
    def provider(dialect: str, model: str) -> ProviderSettings:
        return ProviderSettings(
            dialect=dialect, base_url=upstream.base_url, api_key="k", models=(model,), idle_timeout_s=IDLE_S
        )

    providers = {f"at-{name}": provider(name, name) for name in ("openai", "anthropic", "openai-responses", "gemini")}
    return Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers=providers)


@pytest.fixture
async def worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    async with running_worker(tmp_path / "home", settings(upstream)) as running:
        yield running


@pytest.mark.parametrize("answer", ANSWERS)
async def test_nobody_waits_for_the_connection(worker: RunningWorker, upstream: Upstream, answer: str) -> None:
    model = answer.partition(",")[0]

    async def ask(api: str) -> None:
        path, body, end = APIS[api]
        asked = body if "{}" in path else {**body, "model": model}
        response = await worker.client.post(path.format(model), json=asked)
        assert response.status_code == 200
        assert end in response.text
        assert "Hi" in response.text
        assert '"error":{' not in response.text.replace(" ", "")

    for round_, misbehave in enumerate((lingering, resetting), 1):
        upstream.script = misbehave(*ANSWERS[answer])
        async with asyncio.timeout(IDLE_S / 2):
            await asyncio.gather(*map(ask, APIS))
        await worker.record(round_ * len(APIS))
    for record in worker.records():
        assert (record.status, record.outcome) == (200, "ok")
        if "usage" not in answer:
            assert record.completion_tokens in (2, 5)


@pytest.mark.parametrize("answer", ["openai, no [DONE]", "openai, no usage", "gemini"])
async def test_comments_do_not_put_off_the_end(worker: RunningWorker, upstream: Upstream, answer: str) -> None:
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(framed(event) for event in ANSWERS[answer]))
        while True:
            await asyncio.sleep(0.05)
            writer.write(framed(b": well\n\n"))

    upstream.script = script
    model = answer.partition(",")[0]
    for path, body, end in APIS.values():
        asked = body if "{}" in path else {**body, "model": model}
        async with asyncio.timeout(IDLE_S / 2):
            response = await worker.client.post(path.format(model), json=asked)
        assert end in response.text


@pytest.mark.parametrize("before", [b"", b": well\n\n"])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_stream_that_nobody_asked_for_is_collected(
    worker: RunningWorker, upstream: Upstream, answer: str, before: bytes
) -> None:
    model = answer.partition(",")[0]
    upstream.script = send(answer_of(200, before + b"".join(ANSWERS[answer])))
    for api, (path, body, _) in APIS.items():
        asked = {name: value for name, value in body.items() if name != "stream"}
        if "{}" not in path:
            asked["model"] = model
        path = path.replace("streamGenerateContent?alt=sse", "generateContent").format(model)
        response = await worker.client.post(path, json=asked)
        assert response.status_code == 200, response.text
        said = read("anthropic" if api == "messages" else api, response.content, stream=False, echo=True)
        assert said.text.startswith("Hi")
    await worker.record(len(APIS))
    for record in worker.records():
        assert (record.status, record.outcome) == (200, "ok")
        if "usage" not in answer:
            assert record.completion_tokens in (2, 5)


async def test_one_that_breaks_off_is_an_error(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = send(answer_of(200, b"".join(ANSWERS["anthropic"][:3])))
    for api in ("chat", "messages"):
        path, body, _ = APIS[api]
        response = await worker.client.post(path, json={**body, "model": "anthropic", "stream": False})
        assert response.status_code == 502
        assert "upstream" in response.text


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_cut_before_the_end_is_an_error(worker: RunningWorker, upstream: Upstream, answer: str) -> None:
    model = answer.partition(",")[0]
    events = ANSWERS[answer]
    upstream.script = resetting(*events[: -LAST[answer]])
    response = await worker.client.post("/v1/chat/completions", json={**APIS["chat"][1], "model": model})
    assert '"error":{' in response.text
    assert (await worker.record()).outcome == "upstream_error"


async def test_the_connection_is_used_again_if_the_body_ends_soon(worker: RunningWorker, upstream: Upstream) -> None:
    async def late(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(framed(event) for event in ANSWERS["openai"]))
        await asyncio.sleep(0.05)
        writer.write(framed(b": bye\n\n") + b"0\r\n\r\n")

    asked = {**APIS["chat"][1], "model": "openai"}
    for script, connections in (
        (late, 1),
        (late, 1),
        (lingering(*ANSWERS["openai"]), 1),
        (stream(*ANSWERS["openai"]), 2),
    ):
        upstream.script = script
        await worker.client.post("/v1/chat/completions", json=asked)
        await asyncio.sleep(0.2)
        assert upstream.connections == connections


async def test_choices_are_waited_for(worker: RunningWorker, upstream: Upstream) -> None:
    first, second = chunk("one", "stop"), chunk("two", "stop").replace(b'"index": 0', b'"index": 1')
    upstream.script = stream(first, second, DONE, pause_s=1.8)
    response = await worker.client.post("/v1/chat/completions", json={**APIS["chat"][1], "model": "openai", "n": 2})
    assert "two" in response.text
    assert response.text.endswith("data: [DONE]\n\n")


async def test_usage_that_comes_late_is_still_counted(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = stream(chunk("Hi"), chunk("", "stop"), USAGE_CHUNK, DONE, pause_s=0.5)
    await worker.client.post("/v1/chat/completions", json={**APIS["chat"][1], "model": "openai"})
    assert (await worker.record()).completion_tokens == 5


async def test_whole_answers_of_the_local_kind_are_over_too(worker: RunningWorker, upstream: Upstream) -> None:
    """Half an event after the end is none."""
    upstream.script = resetting(chunk("Hi"), chunk("", "stop"), USAGE_CHUNK[:20])
    response = await worker.client.post("/v1/chat/completions", json={**APIS["chat"][1], "model": "openai"})
    assert response.text.endswith("data: [DONE]\n\n")
    assert USAGE_CHUNK[:20].decode() not in response.text
