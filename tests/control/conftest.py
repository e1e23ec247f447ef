from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from control_process import ENGINE, ControlProcess

from tests.fixtures.child import ending
from tests.fixtures.ledger import SQLITE, answering
from weebill.config.paths import Home
from weebill.control.role import ROLE
from weebill.process.messages import Engines
from weebill.storage.keys import open_keys


@pytest.fixture
def home(made_file: Path) -> Iterator[Home]:
    """One with an empty ledger."""
    # Not below tmp_path: the path of a Unix socket has room for some 100 bytes.
    home = Home(Path(tempfile.mkdtemp(prefix="weebill-test-")))
    home.create()
    shutil.copyfile(made_file, home.database)
    yield home
    shutil.rmtree(home.root)


@pytest.fixture
def admin(home: Home) -> str:
    with open_keys(home, SQLITE) as keys:
        return keys.create("admin", "admin").secret


@pytest.fixture
def user(home: Home) -> str:
    with open_keys(home, SQLITE) as keys:
        return keys.create("user", "user").secret


@pytest.fixture
async def start(home: Home) -> AsyncIterator[Callable[[], Awaitable[ControlProcess]]]:
    """Starts a control process, which ends with the test; its questions are answered."""
    start = partial(ControlProcess.start, ROLE, home, Engines(engines=(ENGINE,)))
    with answering(home):
        async with ending(start) as starting:
            yield starting


@pytest.fixture
async def control(admin: str, start: Callable[[], Awaitable[ControlProcess]]) -> ControlProcess:
    return await (await start()).ready()
