from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.fixtures.child import ChildProcess, ending
from tests.learner.asked import ONE, SETTINGS, Clock, store_in
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.learner.role import ROLE
from weebill.learner.topics import Learning


@pytest.fixture
def home() -> Iterator[Home]:
    # Not below tmp_path: the path of a Unix socket has room for some 100 bytes.
    home = Home(Path(tempfile.mkdtemp(prefix="weebill-test-")))
    home.create()
    yield home
    shutil.rmtree(home.root)


@pytest.fixture
async def start(home: Home) -> AsyncIterator[Callable[[], Awaitable[ChildProcess]]]:
    """Starts a learner process, which ends with the test."""
    async with ending(partial(ChildProcess.start, ROLE, home, settings=Settings(auto=ONE))) as starting:
        yield starting


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def learning(tmp_path: Path, clock: Clock) -> Learning:
    return Learning(store_in(tmp_path), SETTINGS, clock=clock)
