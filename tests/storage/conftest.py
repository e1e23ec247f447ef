from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.ledger import SQLITE
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def database_settings(request: pytest.FixtureRequest) -> DatabaseSettings:
    """Where a ledger may be that is not there yet: a file in the home folder, a database of PostgreSQL."""
    if request.param == "sqlite":
        return SQLITE
    return DatabaseSettings(url=request.getfixturevalue("postgres"))


@pytest.fixture
def ledger(home: Home, database_settings: DatabaseSettings) -> Iterator[Database]:
    with open_ledger(home, database_settings) as opened:
        yield opened
