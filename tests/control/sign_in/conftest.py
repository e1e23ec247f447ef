from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control.sign_in.place import Place
from tests.fixtures.ledger import SQLITE
from weebill.config.paths import Home
from weebill.storage.opening import open_ledger


@pytest.fixture
def home() -> Iterator[Home]:
    home = Home(Path(tempfile.mkdtemp(prefix="weebill-test-")))
    home.create()
    yield home
    shutil.rmtree(home.root)


@pytest.fixture
def place(home: Home) -> Iterator[Place]:
    """An installation where nobody is known yet, and its administrator."""
    with open_ledger(home, SQLITE) as ledger:
        yield Place.make(home, ledger)
