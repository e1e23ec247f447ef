"""Streams that break off and are continued by another deployment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from tests.fixtures.upstream import DONE, USAGE_CHUNK, Upstream, chunk, complete, running_upstream, stream
from tests.fixtures.worker import running_worker
from tests.gateway.test_failover import HELLO, NAMES, ROLE, Three, settings


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Three]:
    """As there, but `a` and `c` continue what another began, and `b` does not."""
    async with AsyncExitStack() as stack:
        upstreams = {name: await stack.enter_async_context(running_upstream()) for name in NAMES}
        found = settings(upstreams)
        providers = {
            name: msgspec.structs.replace(each, continues=name != "b") for name, each in found.providers.items()
        }
        found = msgspec.structs.replace(found, providers=providers)
        worker = await stack.enter_async_context(running_worker(tmp_path / "home", found))
        yield Three(worker, upstreams)


BROKEN = stream(ROLE, chunk("The answer"), chunk(" is "), end=False)
REST = stream(ROLE, chunk("forty"), chunk("-two.", "stop"), USAGE_CHUNK, DONE)
RESUME = {"provider": {"resume": True}}


def pieces(content: bytes) -> list[dict[str, object]]:
    blocks = [each for each in content.split(b"\n\n") if each.startswith(b"data: {")]
    return [json.loads(each.removeprefix(b"data: ")) for each in blocks]


def text(content: bytes) -> str:
    found = [choice["delta"].get("content") or "" for each in pieces(content) for choice in each.get("choices", ())]  # type: ignore[attr-defined]
    return "".join(found)


def asked_to_go_on(upstream: Upstream) -> object:
    body = upstream.requests[-1].json
    messages = body["messages"]
    assert isinstance(messages, list)
    return messages[-1]


async def test_another_goes_on_where_the_first_broke_off(three: Three) -> None:
    three.script(a=BROKEN, c=REST)
    # The second try is at the same one, which fails again.
    response = await three.post(stream=True, stream_options={"include_usage": True}, **RESUME)
    assert response.status_code == 200
    assert b"\n\n: continued by c\n\n" in response.content
    assert response.content.endswith(DONE)
    assert b"error" not in response.content
    assert text(response.content).startswith("The answer is ")
    assert text(response.content).endswith("forty-two.")
    last = asked_to_go_on(three.upstreams["c"])
    assert isinstance(last, dict)
    assert last["role"] == "assistant"
    assert str(last["content"]).startswith("The answer is")
    assert not str(last["content"]).endswith(" ")
    assert three.asked().get("b") is None
    record = await three.worker.record()
    assert (record.upstream, record.status, record.outcome) == ("c", 200, "ok")
    assert record.attempts.startswith("a/m:network:")
    assert record.attempts.split(",")[-1].startswith("c/m:200:")
    usage = pieces(response.content)[-1]["usage"]
    assert isinstance(usage, dict)
    # The total is the provider's; what the first said counts as said.
    assert usage["total_tokens"] == 17
    assert usage["completion_tokens"] > 5


async def test_the_same_one_may_go_on(three: Three) -> None:
    scripts = [BROKEN, REST]

    async def in_turn(request, writer):  # type: ignore[no-untyped-def]
        await scripts.pop(0)(request, writer)

    three.script(a=in_turn)
    response = await three.post(stream=True, **RESUME)
    assert text(response.content) == "The answer is forty-two."
    assert b": continued by a\n\n" in response.content
    assert three.asked() == {"a": 2}


async def test_white_space_is_said_once(three: Three) -> None:
    scripts = [
        stream(ROLE, chunk("One\n\n"), end=False), stream(chunk("\n"), chunk("\n Two"), chunk("", "stop"), DONE)
    ]  # fmt: skip

    async def in_turn(request, writer):  # type: ignore[no-untyped-def]
        await scripts.pop(0)(request, writer)

    three.script(a=in_turn)
    response = await three.post(stream=True, **RESUME)
    assert text(response.content) == "One\n\n Two"


async def test_only_who_asks_for_it_is_continued(three: Three) -> None:
    three.script(a=BROKEN, c=REST)
    response = await three.post(stream=True)
    assert json.loads(response.content.rpartition(b"data: ")[2])["error"]["code"] == "upstream_failed"
    assert three.asked() == {"a": 1}


async def test_where_nobody_can_go_on_it_ends_in_an_error(three: Three) -> None:
    three.script(a=BROKEN, c=complete())
    response = await three.post(stream=True, provider={"resume": True, "only": ["a", "b"]})
    assert text(response.content).startswith("The answer is ")
    assert json.loads(response.content.rpartition(b"data: ")[2])["error"]["code"] == "upstream_failed"
    assert DONE not in response.content
    record = await three.worker.record()
    assert (record.outcome, record.status) == ("upstream_error", 502)
    assert three.asked().get("b") is None


async def test_a_tool_call_is_not_continued(three: Three) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
    body = {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}
    three.script(a=stream(ROLE, b"data: " + json.dumps(body).encode() + b"\n\n", end=False), c=REST)
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    response = await three.post(stream=True, tools=tools, **RESUME)
    assert json.loads(response.content.rpartition(b"data: ")[2])["error"]["code"] == "upstream_failed"
    assert three.asked() == {"a": 1}


async def test_whatever_api_the_client_speaks(three: Three) -> None:
    scripts = [BROKEN, REST]

    async def in_turn(request, writer):  # type: ignore[no-untyped-def]
        await scripts.pop(0)(request, writer)

    three.script(a=in_turn)
    body = {**HELLO, "max_tokens": 64, "stream": True, **RESUME}
    response = await three.worker.client.post("/v1/messages", json=body)
    assert response.status_code == 200
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line[:6] == "data: "]
    kinds = [each["type"] for each in events]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == kinds.count("message_start") == 1
    said = "".join(each["delta"].get("text", "") for each in events if each["type"] == "content_block_delta")
    assert said == "The answer is forty-two."


async def test_a_beginning_that_came_to_nothing_is_not_part_of_the_story(three: Three) -> None:
    scripts = [stream(ROLE, end=False), REST, stream(ROLE, end=False), REST]

    async def in_turn(request, writer):  # type: ignore[no-untyped-def]
        await scripts.pop(0)(request, writer)

    three.script(a=in_turn)
    response = await three.post(stream=True, **RESUME)
    assert text(response.content) == "forty-two."
    assert pieces(response.content)[0]["choices"][0]["delta"]["role"] == "assistant"  # type: ignore[index]
    body = {"model": "m", "input": "Hello", "store": False, "stream": True, **RESUME}
    told = await three.worker.client.post("/v1/responses", json=body)
    numbers = [json.loads(line[6:])["sequence_number"] for line in told.text.splitlines() if line[:6] == "data: "]
    assert numbers == list(range(len(numbers)))


async def test_what_the_second_took_is_measured_from_when_it_was_asked(three: Three) -> None:
    three.script(a=stream(ROLE, chunk("The answer"), end=False), c=REST)
    response = await three.post(stream=True, **RESUME)
    assert b": continued by c\n\n" in response.content
    record = await three.worker.record()
    assert int(record.attempts.rsplit(":", 1)[1].removesuffix("ms")) >= 0
