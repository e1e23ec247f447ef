from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.fixtures.child import ChildProcess, ending
from tests.fixtures.ledger import SQLITE
from weebill.config.paths import Home
from weebill.ledger.role import ROLE
from weebill.storage.keys import open_keys


@pytest.fixture
def home() -> Iterator[Home]:
    # Not below tmp_path: the path of a Unix socket has room for some 100 bytes.
    home = Home(Path(tempfile.mkdtemp(prefix="weebill-test-")))
    home.create()
    with open_keys(home, SQLITE):
        pass
    yield home
    shutil.rmtree(home.root)


@pytest.fixture
async def start(home: Home) -> AsyncIterator[Callable[[], Awaitable[ChildProcess]]]:
    """Starts a ledger process, which ends with the test."""
    async with ending(partial(ChildProcess.start, ROLE, home)) as starting:
        yield starting


@pytest.fixture
async def process(start: Callable[[], Awaitable[ChildProcess]]) -> ChildProcess:
    return await (await start()).ready()
