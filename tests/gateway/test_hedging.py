"""A second leg where the first is unusually slow, and what becomes of the other."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    Request,
    Script,
    answer,
    chunk,
    complete,
    completion,
    framed,
    running_upstream,
    stream,
)
from tests.fixtures.worker import running_worker
from tests.gateway.test_failover import CHAT, GARBAGE, HELLO, NAMES, ROLE, Three, failing, said, settings
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings

HEDGE = {"provider": {"hedge": True}}
SLOW_S = 3.0


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Three]:
    async with AsyncExitStack() as stack:
        upstreams = {name: await stack.enter_async_context(running_upstream()) for name in NAMES}
        for name, each in upstreams.items():
            each.script = complete(completion(f"I am {name}."))
        worker = await stack.enter_async_context(running_worker(tmp_path / "home", settings(upstreams)))
        found = Three(worker, upstreams)
        # It has to be known how long `a` usually takes.
        for _ in range(25):
            assert said(await found.post()) == "I am a."
        found.asked()
        yield found


def late(seconds: float, script: Script) -> Script:
    async def scripted(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await script(request, writer)

    return scripted


async def test_the_second_answers_where_the_first_is_slow(three: Three) -> None:
    three.script(a=late(SLOW_S, complete()))
    begun = time.monotonic()
    response = await three.post(**HEDGE)
    assert time.monotonic() - begun < SLOW_S / 2
    assert said(response) == "I am b."
    first, second = response.headers["x-weebill-route"].split(";")[0].split(",")
    assert first.startswith("a:slow:")
    assert second.startswith("b:200:")
    # Who has lost is told so.
    await asyncio.wait_for(three.upstreams["a"].requests[0].closed.wait(), 5)
    assert three.asked() == {"a": 1, "b": 1}
    record = await three.worker.record(26)
    assert (record.upstream, record.outcome) == ("b", "ok")
    assert [each.split(":")[0] for each in record.attempts.split(",")] == ["a/m", "b/m"]


async def test_without_asking_for_it_nobody_else_is_asked(three: Three) -> None:
    three.script(a=late(0.5, complete(completion("I am a."))))
    assert said(await three.post()) == "I am a."
    assert three.asked() == {"a": 1}


async def test_a_quick_answer_needs_no_second(three: Three) -> None:
    assert said(await three.post(**HEDGE)) == "I am a."
    assert three.asked() == {"a": 1}


async def test_the_first_still_answers_where_the_second_fails(three: Three) -> None:
    three.script(a=late(0.5, complete(completion("I am a."))), b=failing(400), c=GARBAGE)
    assert said(await three.post(**HEDGE)) == "I am a."
    assert three.asked()["a"] == 1


async def test_the_second_answers_where_the_first_fails_late(three: Three) -> None:
    three.script(a=late(0.4, failing(400)), b=late(0.6, complete(completion("I am b."))))
    assert said(await three.post(**HEDGE)) == "I am b."


async def test_where_both_fail_the_first_error_is_told(three: Three) -> None:
    three.script(a=late(0.3, failing(429)), b=failing(500), c=GARBAGE)
    response = await three.post(**HEDGE)
    assert response.status_code == 429
    assert "b/m: 500" in response.json()["error"]["message"]


async def test_streams_are_hedged_until_their_first_content(three: Three) -> None:
    for _ in range(25):
        three.script(a=stream(chunk("a", "stop"), DONE))
        await three.post(stream=True)
    three.asked()
    three.script(a=late(SLOW_S, stream(chunk("a", "stop"), DONE)), b=stream(chunk("b", "stop"), DONE))
    response = await three.post(stream=True, **HEDGE)
    assert response.content == chunk("b", "stop") + DONE


async def test_a_client_that_leaves_takes_both_with_it(three: Three) -> None:
    three.script(a=late(SLOW_S, complete()), b=late(SLOW_S, complete()))
    task = asyncio.create_task(three.post(**HEDGE))
    async with asyncio.timeout(5):
        while not three.upstreams["b"].requests:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        for name in ("a", "b"):
            await three.upstreams[name].requests[0].closed.wait()


async def test_who_comes_second_is_let_go_of(three: Three) -> None:
    """In the very moment or not, and without harm to what follows."""
    body = json.dumps(completion("I am slow.")).encode()
    three.script(a=late(0.05, lambda request, writer: _send(writer, answer(200, body))))
    for _ in range(20):
        assert (await three.post(**HEDGE)).status_code == 200
    three.script(a=complete(completion("I am a.")))
    assert said(await three.post()) in ("I am a.", "I am b.")


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def test_both_are_paid(tmp_path: Path) -> None:
    async with running_upstream() as groq, running_upstream() as together:
        model, other = "llama-3.3-70b-versatile", "meta-llama/Llama-3.3-70B-Instruct-Turbo"
        providers = {
            "groq": ProviderSettings(dialect="openai", base_url=groq.base_url, api_key="k", models=(model,)),
            "together": ProviderSettings(
                dialect="openai", base_url=together.base_url, api_key="k", models=(other,), tier=1
            ),
        }
        both = Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers=providers)
        async with running_worker(tmp_path / "home", both) as worker:
            asked = {**HELLO, "model": model}
            for _ in range(25):
                await worker.client.post(CHAT, json=asked)
            await worker.client.post(CHAT, json={**asked, "provider": {"only": ["together"]}})
            groq.script = late(SLOW_S, complete())
            await worker.client.post(CHAT, json={**asked, **HEDGE})
            record = await worker.record(27)
            alone = worker.records()[25]
            assert (alone.upstream, record.upstream) == ("together", "together")
            # What the other worked on in vain is on the bill, and known only as an estimate.
            assert record.cost_nano > alone.cost_nano > 0
            assert (alone.measured, record.measured) == (True, False)


async def test_a_stream_that_may_be_resumed_is_told_by_the_winner_alone(three: Three) -> None:
    for _ in range(25):
        three.script(a=stream(ROLE, chunk("a", "stop"), DONE))
        await three.post(stream=True)

    async def hangs_after_its_role(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(ROLE))
        await asyncio.sleep(SLOW_S)

    three.script(a=hangs_after_its_role, b=stream(ROLE, chunk("b", "stop"), DONE))
    body = {"model": "m", "input": "Hello", "store": False, "stream": True, "provider": {"hedge": True, "resume": True}}
    told = await three.worker.client.post("/v1/responses", json=body)
    numbers = [json.loads(line[6:])["sequence_number"] for line in told.text.splitlines() if line[:6] == "data: "]
    assert numbers == list(range(len(numbers)))
    assert '"text":"b"' in told.text
