"""The memory of bodies under way: bounded for each key and in all, and given back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.fixtures.upstream import Request, Upstream, answer, completion
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.conftest import settings
from weebill.accounts.keys import KeyStore
from weebill.config.limits import LimitSettings
from weebill.gateway.memory import Answers
from weebill.providers.failures import classify
from weebill.wire.errors import ApiError
from weebill.wire.failure import Failure

CHAT = "/v1/chat/completions"


@asynccontextmanager
async def limited(folder: Path, upstream: Upstream, limits: LimitSettings) -> AsyncIterator[RunningWorker]:
    async with running_worker(folder / "home", msgspec.structs.replace(settings(upstream), limits=limits)) as running:
        yield running


def asking(size: int) -> dict[str, object]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x" * size}]}


def another_key(worker: RunningWorker) -> dict[str, str]:
    with KeyStore.open(worker.home) as keys:
        return {"authorization": f"Bearer {keys.create('another').secret}"}


class Held:
    """An upstream that answers when it is told to."""

    def __init__(self, upstream: Upstream) -> None:
        self.go = asyncio.Event()
        self._upstream = upstream
        upstream.script = self._script

    async def _script(self, request: Request, writer: asyncio.StreamWriter) -> None:
        await self.go.wait()
        writer.write(answer(200, json.dumps(completion()).encode()))

    async def holding(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self._upstream.requests) < count:
                await asyncio.sleep(0.01)


async def test_a_key_and_all_keys_have_a_bound(tmp_path: Path, upstream: Upstream) -> None:
    held = Held(upstream)
    async with limited(tmp_path, upstream, LimitSettings(bodies_mb=2, key_bodies_mb=1)) as worker:
        other, third = another_key(worker), another_key(worker)
        post = worker.client.post
        first = asyncio.create_task(post(CHAT, json=asking(800_000)))
        await held.holding(1)

        refused = await post(CHAT, json=asking(800_000))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_bytes_under_way")
        assert int(refused.headers["retry-after"]) >= 1
        claude = {**asking(800_000), "max_tokens": 9}
        refused = await post("/v1/messages", json=claude)  # in its own format
        assert (refused.status_code, refused.json()["type"]) == (429, "error")
        body = pieces(json.dumps(asking(800_000)).encode())
        chunked = await post(CHAT, content=body, headers={"content-type": "application/json"})
        assert chunked.status_code == 429

        second = asyncio.create_task(post(CHAT, json=asking(800_000), headers=other))
        await held.holding(2)
        refused = await post(CHAT, json=asking(800_000), headers=third)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1

        # What came with its head takes next to none, and goes on.
        small = asyncio.create_task(post(CHAT, json=asking(10), headers=third))
        await held.holding(3)
        held.go.set()
        assert [reply.status_code for reply in await asyncio.gather(first, second, small)] == [200, 200, 200]
        assert (await post(CHAT, json=asking(800_000))).status_code == 200


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 50_000):
        yield body[at : at + 50_000]


async def test_who_leaves_gives_it_back(tmp_path: Path, upstream: Upstream) -> None:
    held = Held(upstream)
    async with limited(tmp_path, upstream, LimitSettings(bodies_mb=2, key_bodies_mb=1)) as worker:
        for number in range(5):
            task = asyncio.create_task(worker.client.post(CHAT, json=asking(800_000)))
            await held.holding(number + 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with asyncio.timeout(20):
                while not upstream.requests[-1].closed.is_set():
                    await asyncio.sleep(0.01)
        held.go.set()
        assert (await worker.client.post(CHAT, json=asking(800_000))).status_code == 200


def resident_mb(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def test_what_huge_requests_took_is_given_back(worker: RunningWorker) -> None:
    async def ask(size: int) -> int:
        async with httpx.AsyncClient(base_url=worker.url, headers=worker.client.headers, timeout=120) as client:
            return (await client.post(CHAT, json=asking(size))).status_code

    assert await ask(10) == 200
    before = resident_mb(worker.process.pid)
    assert set(await asyncio.gather(*[ask(20_000_000) for _ in range(4)])) == {200}
    async with asyncio.timeout(60):
        while resident_mb(worker.process.pid) > before + 40:
            await asyncio.sleep(0.2)


MIB = 1 << 20


async def test_answers_wait_for_room_in_order_and_none_is_lost() -> None:
    answers = Answers(LimitSettings(answers_mb=8))
    most, ended = 0, []

    async def kept(number: int, size: int) -> None:
        """An answer that comes in pieces, each of which is asked for beside what there is."""
        nonlocal most
        room = answers.room()
        for part in range(1, size + 1):
            if part * MIB > room.free:
                await room.take(part * MIB)
            most = max(most, answers.taken)
            await asyncio.sleep(0)
        ended.append(number)
        room.end()
        room.end()

    # Twelve that would take 72 MiB, all of which have some before any has all.
    await asyncio.wait_for(asyncio.gather(*(kept(number, 6) for number in range(12))), 30)
    assert sorted(ended) == list(range(12))
    assert 8 * MIB < most <= (8 + 6) * MIB  # one goes on beyond the bound, so that there is an end to it
    assert answers.taken == 0
    await asyncio.wait_for(kept(12, 40), 30)  # alone, with more than there is
    assert answers.taken == 0


async def test_an_answer_that_finds_no_room_gives_up_and_others_go_on() -> None:
    answers = Answers(LimitSettings(answers_mb=4), patience_s=0.05)
    first, ahead, late, small = (answers.room() for _ in range(4))
    await first.take(4 * MIB)
    await ahead.take(3 * MIB)
    with pytest.raises(ApiError) as refused:
        await late.take(4 * MIB)
    assert (refused.value.status, refused.value.retry_after) == (503, 1.0)
    assert classify(refused.value) == Failure("invalid_request", "request", 0, 1.0)  # nobody is to blame, none is asked
    waiting, gone = asyncio.create_task(small.take(MIB)), asyncio.create_task(late.take(2 * MIB))
    await asyncio.sleep(0)
    gone.cancel()
    first.end()
    await asyncio.wait_for(waiting, 5)
    assert answers.taken == 4 * MIB
    for room in (ahead, late, small):
        room.end()
    assert answers.taken == 0


async def test_large_answers_together_reach_all_who_asked(tmp_path: Path, upstream: Upstream) -> None:
    said = json.dumps(completion("x" * 3 * MIB)).encode()
    arrived = asyncio.Event()

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        """Nobody's answer ends before all have begun."""
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said))
        writer.write(said[: 2 * MIB])
        await writer.drain()
        if len(upstream.requests) == 6:
            arrived.set()
        await arrived.wait()
        writer.write(said[2 * MIB :])

    upstream.script = script
    async with limited(tmp_path, upstream, LimitSettings(answers_mb=4)) as worker:
        answers = await asyncio.gather(*(worker.client.post(CHAT, json=asking(10)) for _ in range(6)))
        assert [answer.status_code for answer in answers] == [200] * 6
        assert all(len(answer.content) > 3 * MIB for answer in answers)
