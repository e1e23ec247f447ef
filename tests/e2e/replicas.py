"""Installations that share a PostgreSQL and a Redis and start and stop one by one, or one alone; and their clients."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.e2e.installation import STOP_S, Installation, installation
from tests.fixtures.upstream import Request, Upstream
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings

CONFIG = """
[server]
workers = {workers}
[local]
models = []
{shared}
[routing]
max_attempts = 2
[metering]
ingest_interval_s = 0.1
[providers.loopback]
base_url = "{upstream}"
catalog = "openai"
models = ["gpt-4o-mini"]
max_connections = 256
[aliases]
"paced-*" = "gpt-4o-mini"
"""
ASKED = re.compile(rb'"Hi (\d+)"')


def number_of(request: Request) -> int:
    """The number of a request, in what the upstream is asked."""
    return int(ASKED.findall(request.body)[0])


class Replica:
    """One installation, which may be stopped and started again, at another port then."""

    def __init__(self, home: Path, config: str, database: DatabaseSettings) -> None:
        self.home = Home(home)
        self._config = config
        self._database = database
        self._stack = ExitStack()
        self.running: Installation | None = None

    def start(self) -> Installation:
        """Start, and wait until it is ready."""
        started = installation(self.home.root, self.home.models, self._config, database=self._database)
        self.running = self._stack.enter_context(started)
        return self.running

    def stop(self) -> None:
        """Drain, and end."""
        running = self._gone()
        assert running.stop() == 0
        self._stack.close()

    def crash(self) -> None:
        """End as by a power cut: supervisor and children at once, with all that is under way."""
        running = self._gone()
        running.process.kill()
        running.process.wait(STOP_S)
        self._stack.close()

    def kill(self, module: str) -> bool:
        """Kill one of the processes that run a module; True if there was one."""
        found = self.running.children(module) if self.running else []
        for process in found[:1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
                return True
        return False

    def _gone(self) -> Installation:
        running, self.running = self.running, None
        assert running is not None
        return running


@asynccontextmanager
async def replicas(
    folder: Path, upstream: Upstream, database: DatabaseSettings, redis: str, workers: int
) -> AsyncIterator[list[Replica]]:
    """Installations that are ready: two on one PostgreSQL, or the only one that a SQLite file can have.

    They have their keys in common, so `secret.key`, too.
    """
    shared = f'[database]\nurl = "{database.url}"\n[redis]\nurl = "{redis}"' if database.url is not None else ""
    config = CONFIG.format(workers=workers, shared=shared, upstream=upstream.base_url)
    found = [Replica(folder / name, config, database) for name in ("ab" if shared else "a")]
    try:
        for each in found:
            if each is not found[0]:
                each.home.create()
                shutil.copy(found[0].home.pepper, each.home.pepper)
            await asyncio.to_thread(each.start)  # beside this loop, which is the upstream's, too
        yield found
    finally:
        for each in found:
            if each.running is not None:
                await asyncio.to_thread(each.stop)


class Callers:
    """Clients with one key, which ask any replica that runs; and the statuses that they got, by number of request."""

    def __init__(self, replicas: Sequence[Replica], key: str, chance: random.Random, at_once: int) -> None:
        self._replicas = replicas
        self._chance = chance
        self._numbers = itertools.count()
        self.client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {key}"},
            timeout=30,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=at_once),
            trust_env=False,
        )
        self.seen: dict[int, int] = {}

    @property
    def statuses(self) -> Counter[int]:
        return Counter(self.seen.values())

    async def asks(self, max_tokens: int, *, stream: bool = False, leaves_after_s: float | None = None) -> int:
        """The status of a request; 0 if its connection broke or its client left."""
        response = await self.answered(max_tokens, stream=stream, leaves_after_s=leaves_after_s)
        return 0 if response is None else response.status_code

    async def answered(
        self, max_tokens: int, *, stream: bool = False, leaves_after_s: float | None = None, at: Replica | None = None
    ) -> httpx.Response | None:
        """The whole answer; None if the connection broke or the client left."""
        number = next(self._numbers)
        body = {
            "model": f"paced-{number}",
            "messages": [{"role": "user", "content": f"Hi {number}"}],
            "max_tokens": max_tokens,
            "stream": stream,
        }
        running = [each.running for each in ([at] if at else self._replicas) if each.running]
        self.seen[number] = 0
        if not running:
            return None
        url = f"{self._chance.choice(running).url}/v1/chat/completions"
        try:
            async with asyncio.timeout(leaves_after_s):
                response = await self.client.post(url, json=body)
        except (TimeoutError, httpx.HTTPError):
            return None
        self.seen[number] = response.status_code
        return response
