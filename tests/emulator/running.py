"""A gateway worker in front of the emulator, on a thread of their own, for tests without an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from tests.emulator.server import DIALECTS, Emulator
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.routing import BreakerSettings, RoutingSettings
from weebill.config.schema import LocalSettings, ServerSettings, Settings

_START_S: Final = 90.0


@dataclass(frozen=True)
class Gateway:
    """`client` is authenticated; every model is known as `DIALECT-emulated/SCENARIO`."""

    emulator: Emulator
    worker: RunningWorker
    client: httpx.Client

    @property
    def url(self) -> str:
        return self.worker.url

    @property
    def key(self) -> str:
        return self.worker.key


def model(dialect: str, scenario: str) -> str:
    """The name that clients of the gateway give."""
    return f"{dialect}-emulated/{scenario}"


def refused(dialect: str, scenario: str) -> str:
    """The same with a key that the provider does not know."""
    return f"{dialect}-refused/{scenario}"


def settings(emulator: Emulator) -> Settings:
    """All dialects, each with the right key and with a wrong one."""
    providers = {f"{dialect}-emulated": emulator.provider(dialect) for dialect in DIALECTS}
    providers |= {f"{dialect}-refused": emulator.provider(dialect, "another-key") for dialect in DIALECTS}
    # Scenarios that blame a key shall not stand in the way of the next.
    routing = RoutingSettings(breaker=BreakerSettings(refused_s=0.001, refused_max_s=0.001))
    return Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), routing=routing, providers=providers)


@contextmanager
def running_gateway(folder: Path) -> Iterator[Gateway]:
    """Start both; they end with the block."""
    ready: list[tuple[Emulator, RunningWorker, Callable[[], object]]] = []
    failures: list[BaseException] = []
    started = threading.Event()

    async def run() -> None:
        end = asyncio.Event()
        loop = asyncio.get_running_loop()
        emulator = Emulator()
        server = await asyncio.start_server(emulator.serve, "127.0.0.1", 0)
        emulator.port = server.sockets[0].getsockname()[1]
        async with running_worker(folder, settings(emulator)) as worker:
            ready.append((emulator, worker, partial(loop.call_soon_threadsafe, end.set)))
            started.set()
            await end.wait()
        server.close()

    def serve() -> None:
        try:
            asyncio.run(run())
        except BaseException as failure:
            failures.append(failure)
        finally:
            started.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    started.wait(_START_S)
    if not ready:
        raise RuntimeError("the gateway did not start") from (failures[0] if failures else None)
    emulator, worker, end = ready[0]
    headers = {"authorization": f"Bearer {worker.key}"}
    try:
        with httpx.Client(base_url=worker.url, headers=headers, timeout=20, trust_env=False) as client:
            yield Gateway(emulator, worker, client)
    finally:
        end()
        thread.join(_START_S)
    if failures:
        raise failures[0]
