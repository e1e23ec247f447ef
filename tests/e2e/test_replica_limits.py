"""Limits of requests, tokens and requests at once, over the workers of one installation and over two on one PostgreSQL:
exact, and told to clients as OpenAI's own library reads it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import openai
import pytest

from tests.e2e.installation import Installation
from tests.e2e.replicas import Callers, Replica, replicas
from tests.fixtures.databases import rows
from tests.fixtures.redis import RedisServer
from tests.fixtures.upstream import Request, Upstream, answer, completion, running_upstream
from weebill.config.schema import DatabaseSettings
from weebill.storage.opening import open_ledger

AT_ONCE = 6
PER_MINUTE = 40
MINUTE_S = 60
BEGIN_BEFORE_S = 5  # of a minute, so that all of a test's requests begin in it
USED = {"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50}
TOKENS = 3_000
WITHIN_S = 60.0
LAYOUTS = pytest.mark.parametrize(
    ("database_settings", "workers"), [("postgresql", 2), ("sqlite", 4)], indirect=["database_settings"]
)


class Counting:
    """An upstream that counts how many requests it works on at once, and holds all until `awaited` are there."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.awaited = 0
        self.changed = asyncio.Condition()

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        async with self.changed:
            self.running += 1
            self.most = max(self.most, self.running)
            self.changed.notify_all()
            try:
                await self.changed.wait_for(lambda: self.running >= self.awaited)
                await asyncio.sleep(0)
            finally:
                self.running -= 1  # before the answer is there: the next one may follow at once
        writer.write(answer(200, json.dumps(completion(usage=USED)).encode()))

    async def release(self) -> None:
        async with self.changed:
            self.awaited = 0
            self.changed.notify_all()


class Running:
    """Replicas, a key that is limited, its clients, and the upstream."""

    def __init__(self, found: list[Replica], key: str, upstream: Upstream) -> None:
        self.found = found
        self.key = key
        self.upstream = upstream
        self.callers = Callers(found, key, random.Random(15), 64)

    @property
    def first(self) -> Installation:
        running = self.found[0].running
        assert running is not None
        return running

    async def limit(self, *words: str) -> None:
        await asyncio.to_thread(self.first.weebill, "limits", "set", "counted", *words)

    async def burst(self, number: int) -> list[httpx.Response]:
        """The answers to so many requests at once, spread over all replicas."""
        asked = (self.callers.answered(5, at=self.found[each % len(self.found)]) for each in range(number))
        return [each for each in await asyncio.gather(*asked) if each is not None]


@asynccontextmanager
async def running(folder: Path, database: DatabaseSettings, redis: str, workers: int) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(running_upstream())
        upstream.script = Counting()
        found = await stack.enter_async_context(replicas(folder, upstream, database, redis, workers))
        one = found[0].running
        assert one is not None
        key = (await asyncio.to_thread(one.weebill, "keys", "create", "counted", "--quiet")).strip()
        made = Running(found, key, upstream)
        stack.push_async_callback(made.callers.client.aclose)
        yield made


async def the_next_minute(begun: int = 0) -> int:
    """The end of a minute that has just begun, not before `begun`, in Unix seconds."""
    now = time.time()
    if now < begun or now % MINUTE_S > BEGIN_BEFORE_S:
        await asyncio.sleep(MINUTE_S - now % MINUTE_S + 0.05)
    return int(time.time()) // MINUTE_S * MINUTE_S + MINUTE_S


@pytest.mark.timeout(300)
async def test_requests_at_once_are_exact_over_two_replicas(
    tmp_path: Path, postgres: str, redis_server: RedisServer
) -> None:
    async with running(tmp_path, DatabaseSettings(url=postgres), redis_server.url, 2) as made:
        upstream = Counting()
        made.upstream.script = upstream
        await made.limit("concurrent", str(AT_ONCE))

        async def until_admitted() -> None:
            while (response := await made.callers.answered(5)) is None or response.status_code != 200:
                assert response is None or response.status_code == 429, response.text
                await asyncio.sleep(0.05)

        for killed in ("", "weebill.gateway", "weebill.ledger"):
            upstream.awaited = AT_ONCE + 1  # so that they stay
            held = [asyncio.create_task(until_admitted()) for _ in range(AT_ONCE)]
            async with asyncio.timeout(WITHIN_S), upstream.changed:
                await upstream.changed.wait_for(lambda: upstream.running == AT_ONCE)
            refused = await made.burst(4)
            assert [each.status_code for each in refused] == [429] * 4
            assert {each.headers["retry-after"] for each in refused} == {"1"}
            if killed:
                for replica in made.found:
                    await asyncio.to_thread(replica.kill, killed)
            await upstream.release()
            async with asyncio.timeout(WITHIN_S):
                await asyncio.gather(*held)
        assert upstream.most == AT_ONCE


def seconds(text: str) -> int:
    """A span of time as OpenAI writes it: `1m0s`."""
    minutes, _, rest = text.rpartition("m")
    return 60 * int(minutes or 0) + int(rest.removesuffix("s"))


@LAYOUTS
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_requests_of_a_minute_are_exact_and_told_as_openais_library_reads_it(
    tmp_path: Path, database_settings: DatabaseSettings, workers: int, redis_server: RedisServer
) -> None:
    async with running(tmp_path, database_settings, redis_server.url, workers) as made:
        await made.limit("requests", str(PER_MINUTE))
        ends = 0
        for _ in range(2):  # minutes
            ends = await the_next_minute(ends)
            before = len(made.upstream.requests)
            answers = await made.burst(3 * PER_MINUTE)
            assert time.time() < ends, "the machine is too slow for so many requests in a minute"
            admitted = [each for each in answers if each.status_code == 200]
            refused = [each for each in answers if each.status_code == 429]
            assert (len(admitted), len(refused)) == (PER_MINUTE, 2 * PER_MINUTE)
            assert len(made.upstream.requests) - before == PER_MINUTE
            assert {each.headers["x-ratelimit-limit-requests"] for each in answers} == {str(PER_MINUTE)}
            assert {each.headers["x-ratelimit-remaining-requests"] for each in refused} == {"0"}
            assert all(0 <= int(each.headers["x-ratelimit-remaining-requests"]) < PER_MINUTE for each in admitted)
        async with openai.AsyncOpenAI(
            base_url=f"{made.first.url}/v1",
            api_key=made.key,
            max_retries=0,
            http_client=httpx.AsyncClient(trust_env=False),
        ) as client:

            async def ask(retries: int) -> httpx.Headers:
                raw = client.with_options(max_retries=retries).chat.completions.with_raw_response
                hi = [{"role": "user", "content": "Hi 0"}]
                return (await raw.create(model="gpt-4o-mini", messages=hi, max_tokens=5)).headers  # type: ignore[arg-type]

            with pytest.raises(openai.RateLimitError) as failed:
                await ask(0)
            told = failed.value.response.headers
            left = ends - time.time()
            assert 0 < int(told["retry-after"]) <= left + 2
            assert seconds(told["x-ratelimit-reset-requests"]) <= left + 2
            # It waits for as long as it is told to, which is until the next minute begins, if that is not too long.
            await asyncio.sleep(max(0.0, left - 20))
            headers = await ask(3)
            assert time.time() >= ends
            assert int(headers["x-ratelimit-remaining-requests"]) == PER_MINUTE - 1
            assert int(headers["x-ratelimit-limit-requests"]) == PER_MINUTE


@LAYOUTS
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_tokens_of_a_minute_are_used_to_the_last_request_and_not_beyond(
    tmp_path: Path, database_settings: DatabaseSettings, workers: int, redis_server: RedisServer
) -> None:
    async with running(tmp_path, database_settings, redis_server.url, workers) as made:
        await made.limit("tokens", str(TOKENS))
        ends = await the_next_minute()
        answers: list[httpx.Response] = []
        while not answers or any(each.status_code == 200 for each in answers[-16:]):
            answers += await made.burst(16)
        assert time.time() < ends, "the machine is too slow for so many requests in a minute"
        assert {each.status_code for each in answers} == {200, 429}
        used = USED["total_tokens"] * sum(each.status_code == 200 for each in answers)
        most = max(len(each.body) for each in made.upstream.requests) + 64 + 5
        assert TOKENS - most < used <= TOKENS
        left = {int(each.headers["x-ratelimit-remaining-tokens"]) for each in answers[-16:]}
        # Never more than there is; less where another worker still holds a part.
        assert max(left) == TOKENS - used
        for replica in made.found:
            await asyncio.to_thread(replica.stop)
        with open_ledger(made.found[0].home, database_settings) as ledger:
            assert rows(ledger, "SELECT settled FROM allowances WHERE settled > 0") == [(used,)]
