from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from console_process import Console

from weebill.config.paths import Home
from weebill.ledger.keys import KeyStore


@pytest.fixture
def home() -> Iterator[Home]:
    # Not below tmp_path: the path of a Unix socket has room for some 100 bytes.
    home = Home(Path(tempfile.mkdtemp(prefix="weebill-test-")))
    home.create()
    yield home
    shutil.rmtree(home.root)


@pytest.fixture
def admin(home: Home) -> str:
    with KeyStore.open(home) as keys:
        return keys.create("admin", "admin").secret


@pytest.fixture
def user(home: Home) -> str:
    with KeyStore.open(home) as keys:
        return keys.create("user", "user").secret


@pytest.fixture
async def start(home: Home) -> AsyncIterator[Callable[[], Awaitable[Console]]]:
    """Starts a control process, which ends with the test."""
    started: list[Console] = []

    async def start() -> Console:
        started.append(await Console.start(home))
        return started[-1]

    yield start
    for console in started:
        if console.process.returncode is None:
            console.process.kill()
        await console.process.wait()
        console.link.close()


@pytest.fixture
async def console(admin: str, start: Callable[[], Awaitable[Console]]) -> Console:
    return await (await start()).ready()
