"""A Redis that is there, gone, slow, or will not let us in."""

from __future__ import annotations

import asyncio

import pytest

from tests.fixtures.redis import RedisServer
from weebill.shared.redis import MAX_IN_FLIGHT, Commands, Redis, RedisDown


async def get(redis: Redis, name: str = "a") -> bytes | None:
    return await redis.run(lambda commands: commands.get(name))


async def test_commands_are_answered(redis_server: RedisServer, patient: None) -> None:
    redis = Redis(redis_server.url)
    await redis.run(lambda commands: commands.set("a", b"\0\xff", px=10_000))
    assert await get(redis) == b"\0\xff"
    assert await get(redis, "b") is None
    await redis.close()


async def test_after_some_failures_it_is_left_alone_for_a_while_that_grows(
    redis_server: RedisServer, patient: None
) -> None:
    now = 100.0
    redis = Redis(redis_server.url, lambda: now)
    redis_server.kill()
    pauses: list[float] = []
    for _ in range(9):
        tried = 0
        while True:
            with pytest.raises(RedisDown) as down:
                await get(redis)
            if "lately" in str(down.value):
                break
            tried += 1
        pauses.append(tried)
        before = now
        while True:
            now += 0.25
            with pytest.raises(RedisDown) as down:
                await get(redis)
            if "lately" not in str(down.value):
                break
        pauses.append(now - before)
    assert pauses[0] == 3
    assert pauses[1::2] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    redis_server.start()
    now += 30
    assert await get(redis) is None
    await redis.close()


async def test_while_one_tries_whether_it_is_back_the_others_do_not_wait(redis_server: RedisServer) -> None:
    now = 100.0
    redis = Redis(redis_server.url, lambda: now)
    redis_server.suspend()
    for _ in range(3):
        with pytest.raises(RedisDown, match="Timeout"):
            await get(redis)
    now += 0.5
    answers = await asyncio.gather(*(get(redis) for _ in range(10)), return_exceptions=True)
    assert sorted("lately" in str(each) for each in answers) == [False] + [True] * 9
    await redis.close()


async def test_a_call_takes_no_longer_than_it_may(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url)
    redis_server.suspend()

    async def forever(commands: Commands) -> None:
        await asyncio.sleep(3600)

    for command in (lambda commands: commands.get("a"), forever):
        # Neither ends by itself: the server stays suspended, and an hour is more than anybody waits here.
        async with asyncio.timeout(60):
            with pytest.raises(RedisDown):
                await redis.run(command)
    await redis.close()


async def test_calls_at_once_are_bounded(redis_server: RedisServer, patient: None) -> None:
    redis = Redis(redis_server.url)
    held = asyncio.Event()

    async def wait(commands: Commands) -> None:
        await held.wait()

    calls = [asyncio.create_task(redis.run(wait)) for _ in range(MAX_IN_FLIGHT + 5)]
    await asyncio.sleep(0)
    held.set()
    refused = [each for each in await asyncio.gather(*calls, return_exceptions=True) if isinstance(each, RedisDown)]
    assert len(refused) == 5
    assert all("under way" in str(each) for each in refused)
    assert await get(redis) is None, "being busy is no failure"
    await redis.close()


async def test_its_password_is_never_shown(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    redis = Redis(redis_server.url.replace("redis://", "redis://someone:hunter2@"))
    for _ in range(3):
        with pytest.raises(RedisDown) as down:
            await get(redis)
        assert "hunter2" not in str(down.value)
    assert "is lost" in caplog.text
    assert "hunter2" not in caplog.text
    assert redis.name == redis_server.url
    await redis.close()
