from __future__ import annotations

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from tests.control.sign_in.place import Place
from tests.fixtures.ledger import SQLITE
from weebill.config.paths import Home
from weebill.control.sign_in import hashing
from weebill.storage.opening import open_ledger

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_hasher", lambda: QUICK)


@pytest.fixture
def place(home: Home) -> Iterator[Place]:
    """An installation where nobody is known yet, and its administrator."""
    with open_ledger(home, SQLITE) as ledger:
        yield Place.make(home, ledger)
