"""The worker's knowledge of servers for models: follows the discovery process, and tells routing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Final

from weebill.process.questions import Questions
from weebill.routing.router import Router
from weebill.routing.server_news import Servers
from weebill.routing.servers import TOPIC

# There is a sign of life every second; restarting the process that gives them takes less.
_STALE_S: Final = 5.0


class ServerWatch:
    """Follows what the process at `path` tells of servers. What is stale counts as unknown, so that without that
    process requests are routed as if there were none.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.servers = Servers(self._hear, self._change)
        self._questions = Questions(path, {TOPIC: self.servers})
        self._clock = clock
        self._heard_at = inf
        self._news = asyncio.Event()
        self._router: Router | None = None
        self._on_change: Callable[[], None] | None = None

    def start(self, router: Router, on_change: Callable[[], None]) -> None:
        """Begins to follow, and tells `router`; `on_change` is called when names or their availability change."""
        self._router, self._on_change = router, on_change
        self._questions.start()

    async def wait(self, providers: Collection[str], within_s: float) -> None:
        """Waits until the state of each of these providers' servers is known, for at most that long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not self.servers.states.keys() >= set(providers):
                    self._news.clear()
                    await self._news.wait()

    def settle(self) -> None:
        """Forgets what is stale; to be called regularly."""
        if self._router is not None and self._clock() - self._heard_at > _STALE_S:
            self._heard_at = inf
            self._router.health.forget_servers()

    def close(self) -> None:
        """Stops following."""
        self._questions.close()

    def _hear(self) -> None:
        self._heard_at = self._clock()
        self._news.set()
        if self._router is not None:
            servers = self.servers
            self._router.health.follow(servers.states, servers.away, self._router.directory.deployments.values())

    def _change(self) -> None:
        if self._on_change is not None:
            self._on_change()
