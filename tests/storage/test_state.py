from __future__ import annotations

import pytest

from tests.fixtures.records import RECORD, write_records
from tests.storage.contents import fill
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.schema import LEDGER
from weebill.storage.state import Contents, host_of, state_of
from weebill.usage.waiting import waiting_bytes


def test_it_says_what_is_there(ledger: Database, home: Home, database_settings: DatabaseSettings) -> None:
    fill(ledger, home)
    state = state_of(ledger)
    assert state.contents == Contents(keys=2, revoked=1, requests=305, experiments=2)
    assert state.contents.anything
    assert state.revision == LEDGER.newest
    assert state.last_at == RECORD.started_at / 1_000_000
    assert state.bytes > 50_000
    if database_settings.url is None:
        assert (state.engine.split()[0], state.place) == ("SQLite", str(home.database))
    else:
        assert state.engine.startswith("PostgreSQL 1")
        assert state.place == f"database {database_settings.url.rpartition('/')[2]}, user weebill"


def test_it_makes_no_tables(postgres: str, home: Home) -> None:
    from weebill.storage.opening import open_ledger

    with open_ledger(home, DatabaseSettings(url=postgres)) as ledger:
        for _ in range(2):
            state = state_of(ledger)
            assert (state.revision, state.contents) == ("", None)


def test_what_waits_in_the_journals_is_counted_without_unused_space(ledger: Database, home: Home) -> None:
    fill(ledger, home)
    assert waiting_bytes(home.journal, state_of(ledger).marks) == 0
    write_records(home, 10)
    [segment] = home.journal.glob("*.jsonl")
    written = segment.stat().st_size
    with segment.open("ab") as file:
        file.write(bytes(100_000))
    assert waiting_bytes(home.journal, state_of(ledger).marks) == written
    assert waiting_bytes(home.journal, {segment.name: 100}) == written - 100


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://joe:s3cret@db.example:5432/weebill", "db.example:5432"),
        ("postgresql://joe:s3@cret@db.example/weebill?password=s3cret", "db.example"),
        ("postgresql://joe:s3cret@a:1,b:2/weebill", "a:1,b:2"),
        ("postgresql://joe@[::1]:5432/weebill", "[::1]:5432"),
        ("postgresql:///weebill?host=/run/postgresql&password=s3cret", "/run/postgresql"),
        ("postgresql:///weebill", "this machine"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, host: str) -> None:
    assert host_of(url) == host
