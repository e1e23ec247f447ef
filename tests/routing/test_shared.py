"""What one worker knows, others know within a second: over a folder, over Redis, and whatever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.fixtures.redis import RedisServer
from weebill.routing.shared import INTERVAL_S, MAX_SOURCES, REPEAT_S, SILENCE_S, SharedHealth
from weebill.shared.notice_directory import NoticeDirectory
from weebill.shared.redis import Redis

HEARD_S = 60.0


class Known(Struct, frozen=True, array_like=True):
    """A fact, as routing has them."""

    subject: str
    remaining_s: float = 0.0


class Worker:
    """One worker's end, with a clock of its own; `heard` is what it knows of others."""

    def __init__(self, folder: Path, name: str, redis: Redis | None = None) -> None:
        self.now = 100.0
        self.heard: dict[str, tuple[Known, ...]] = {}
        self.calls = 0
        self.shared = SharedHealth(Known, folder, name, redis, lambda: self.now)

    def hear(self, source: str, facts: tuple[Known, ...]) -> None:
        self.calls += 1
        name = source.split(":")[0]
        if facts:
            self.heard[name] = facts
        else:
            self.heard.pop(name, None)

    async def tick(self, *facts: Known) -> None:
        self.now += INTERVAL_S
        await self.shared.exchange(facts, self.hear)


A, B = Known("a", 10.0), Known("b", 5.0)


async def test_all_that_holds_is_told_and_taken_back(tmp_path: Path) -> None:
    one, other = Worker(tmp_path, "one"), Worker(tmp_path, "other")
    await other.tick()
    await one.tick(A, B)
    await other.tick()
    assert other.heard == {"one": (A, B)}
    await one.tick(B)
    await other.tick()
    assert other.heard == {"one": (B,)}
    await one.tick()
    await other.tick()
    assert other.heard == one.heard == {}
    one.shared.close()
    other.shared.close()


async def test_it_is_repeated_only_while_it_holds(tmp_path: Path) -> None:
    one, other = Worker(tmp_path, "one"), Worker(tmp_path, "other")
    await other.tick()
    for _ in range(20):
        await one.tick(Known("a", 200 - one.now))
        await other.tick()
    assert other.calls == 20 * INTERVAL_S / REPEAT_S
    assert other.heard["one"][0].remaining_s <= 200 - one.now + REPEAT_S
    for _ in range(20):
        await one.tick()
        await other.tick()
    assert other.calls == 20 * INTERVAL_S / REPEAT_S + 2, "one for the end, one for the silence"


async def test_who_comes_late_hears_it_with_the_next_repetition(tmp_path: Path) -> None:
    one = Worker(tmp_path, "one")
    await one.tick(A)
    late = Worker(tmp_path, "late")
    for _ in range(round(REPEAT_S / INTERVAL_S) + 1):
        await late.tick()
        await one.tick(A)
    await late.tick()
    assert late.heard == {"one": (A,)}


async def test_who_has_died_is_not_believed_for_long(tmp_path: Path) -> None:
    one, other = Worker(tmp_path, "one"), Worker(tmp_path, "other")
    await other.tick()
    await one.tick(A)
    await other.tick()
    for _ in range(round(SILENCE_S / INTERVAL_S) - 1):
        await other.tick()
        assert other.heard == {"one": (A,)}
    for _ in range(3):
        await other.tick()
    assert other.heard == {}
    # Its successor writes the same file, and counts from the beginning.
    successor = Worker(tmp_path, "one")
    await successor.tick(B)
    await other.tick()
    assert other.heard == {"one": (B,)}


async def test_sources_are_bounded_and_garbage_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(tmp_path, "one")
    await worker.tick()
    NoticeDirectory(tmp_path, "foreign").post(b"\xc1 nothing that we know")
    await worker.tick()
    assert "cannot be read" in caplog.text
    others = [Worker(tmp_path, f"other-{number}") for number in range(MAX_SOURCES + 10)]
    for each in others:
        await each.tick(A)
        each.shared._thread.shutdown()
    await worker.tick()
    assert len(worker.heard) == MAX_SOURCES


async def test_a_folder_that_cannot_be_used_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    worker = Worker(tmp_path / "file" / "folder", "one")
    for _ in range(5):
        await worker.tick(A)
    assert caplog.text.count("cannot tell each other") == 1


async def test_replicas_by_redis_alone_and_what_becomes_of_it_without(
    tmp_path: Path, redis_server: RedisServer, patient: None
) -> None:
    clients = [Redis(redis_server.url) for _ in range(2)]
    one, other = Worker(tmp_path / "1", "one", clients[0]), Worker(tmp_path / "2", "other", clients[1])
    await other.tick()
    await one.tick(A)
    await other.tick()
    assert other.heard == {"one": (A,)}
    redis_server.kill()
    for _ in range(round(SILENCE_S / INTERVAL_S) + 2):
        await one.tick(A)
        await other.tick()
    assert other.heard == {}
    redis_server.start()
    async with asyncio.timeout(HEARD_S):
        while not other.heard:
            await asyncio.sleep(0.05)
            await one.tick(A)
            await other.tick()
    assert other.heard == {"one": (A,)}
    for client in clients:
        await client.close()


async def test_what_comes_by_both_ways_is_heard_once(tmp_path: Path, redis_server: RedisServer, patient: None) -> None:
    clients = [Redis(redis_server.url) for _ in range(2)]
    one, other = Worker(tmp_path, "one", clients[0]), Worker(tmp_path, "other", clients[1])
    await other.tick()
    await one.tick(A)
    await other.tick()
    await other.tick()
    assert other.calls == 1
    for client in clients:
        await client.close()


@asynccontextmanager
async def process(folder: Path, name: str, url: str = "", fact: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.routing.sharing_process", str(folder), name, url, fact,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=os.environ, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def line(running: asyncio.subprocess.Process, key: str) -> dict[str, Any]:
    """The next line of a process that has `key`."""
    assert running.stdout is not None
    async with asyncio.timeout(HEARD_S):
        while True:
            found: dict[str, Any] = json.loads(await running.stdout.readline())
            if key in found:
                return found


@pytest.mark.parametrize("way", ["folder", "redis"])
async def test_two_processes_share_and_one_is_killed(tmp_path: Path, redis_server: RedisServer, way: str) -> None:
    url = redis_server.url if way == "redis" else ""
    folders = (tmp_path / "1", tmp_path / "2") if way == "redis" else (tmp_path, tmp_path)
    async with process(folders[0], "teller", url, "acme/large") as teller, process(folders[1], "hearer", url) as hearer:
        await line(teller, "ready")
        await line(hearer, "ready")
        await asyncio.sleep(2 * INTERVAL_S)
        assert teller.stdin is not None
        teller.stdin.write(b"\n")
        learnt = await line(teller, "learnt")
        heard = await line(hearer, "heard")
        assert (heard["from"], heard["heard"]) == ("teller", ["acme/large"])
        print(f"{way}: heard after {heard['at'] - learnt['at']:.3f} s")
        teller.kill()
        while (await line(hearer, "heard"))["heard"]:
            pass
