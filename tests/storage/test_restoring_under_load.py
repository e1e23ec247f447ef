"""Backups and restores while journals are ingested and keys are made."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import write_records
from tests.storage.contents import fill, rows_of
from weebill.accounts.api_key import ApiKey
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.ledger.ingestion import IngestThread
from weebill.storage.backups.candidates import candidate_of
from weebill.storage.backups.making import back_up
from weebill.storage.backups.restoring import restore
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.opening import open_ledger

DEADLINE_S = 60.0
INGESTED_S = 500.0  # as long as it takes: what is left is ingested one file after another
# More would come than a slow machine can take in, and what is done meanwhile would take ever longer.
MOST_RECORDS = 2_000
# Of the time that a restore takes; None is let end, one of each file.
KILLED_AFTER = (None, 0.1, 0.8, None, 0.5, 0.95)


class Load:
    """Records and keys that come meanwhile."""

    def __init__(self, home: Home, database: DatabaseSettings) -> None:
        self.home = home
        self.records = 0
        self.keys: list[ApiKey] = []
        self._database = database
        self._ending = threading.Event()
        self._ingestion = IngestThread(home, database, 0.05)
        self._threads = [threading.Thread(target=each) for each in (self._make_keys, self._serve)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Begin, and end once all records are in the ledger."""
        self._ingestion.start()
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join()
            self._ingestion.finish(INGESTED_S)

    def goes_on(self) -> None:
        """Wait until another two keys were made."""
        wanted, deadline = len(self.keys) + 2, time.monotonic() + DEADLINE_S
        while len(self.keys) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _make_keys(self) -> None:
        with open_ledger(self.home, self._database) as ledger:
            while not self._ending.wait(0.05):
                self.keys.append(keys_in(ledger, self.home).create("load").key)

    def _serve(self) -> None:
        while not self._ending.wait(0.1) and self.records < MOST_RECORDS:
            write_records(self.home, 50)
            self.records += 50


class Forked:
    """A process that restores a backup."""

    def __init__(self, home: Home, database: DatabaseSettings, file: Path) -> None:
        self._pid = os.fork()
        if self._pid == 0:
            code = 1
            try:
                with open_ledger(home, database) as ledger, candidate_of(file, home.database) as candidate:
                    restore(ledger, candidate)
                code = 0
            finally:
                os._exit(code)

    def end(self) -> None:
        """Wait until it has done it."""
        assert os.waitpid(self._pid, 0)[1] == 0

    def kill_after(self, seconds: float) -> None:
        time.sleep(seconds)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def requests(ledger: Database) -> int:
    return rows_of(ledger)["usage"].total()


def test_a_backup_has_all_that_was_there_when_it_began(
    ledger: Database, database_settings: DatabaseSettings, home: Home, tmp_path: Path
) -> None:
    fill(ledger, home)
    load = Load(home, database_settings)
    with load.running():
        for number in range(2):
            load.goes_on()
            keys, before = list(load.keys), rows_of(ledger)
            back_up(ledger, tmp_path / f"{number}.db")
            other = Home(tmp_path / f"other-{number}")
            other.create()
            (tmp_path / f"{number}.db").rename(other.database)
            with open_ledger(other, SQLITE) as copy:
                found = rows_of(copy)
                assert {key.id for key in keys} <= {key.id for key in keys_in(copy, home).all()}
            for table in ("api_keys", "usage_kinds", "usage_entries", "usage", "quarantine", "experiments"):
                assert before[table] <= found[table]
            # Of one moment: the totals are those of the records.
            assert sum(row[3] for row in found["usage_daily"]) == found["usage"].total()
    assert requests(ledger) == load.records + 305


def test_after_a_restore_under_load_nothing_is_mixed(
    ledger: Database, database_settings: DatabaseSettings, home: Home, tmp_path: Path
) -> None:
    fill(ledger, home)
    back_up(ledger, tmp_path / "b.db")
    before = rows_of(ledger)
    load = Load(home, database_settings)
    with load.running():
        for _ in range(2):
            load.goes_on()
            with candidate_of(tmp_path / "b.db", home.database) as candidate:
                restore(ledger, candidate)
    found = rows_of(ledger)
    assert before["usage"] <= found["usage"]
    assert before["api_keys"] <= found["api_keys"]
    # What came after the last restore is there once, with totals that are those of the records.
    assert sum(row[3] for row in found["usage_daily"]) == found["usage"].total()
    assert max(found["usage_entries"].values()) == 1


def test_a_killed_restore_leaves_the_old_or_the_new(
    database_settings: DatabaseSettings, home: Home, tmp_path: Path
) -> None:
    with open_ledger(home, database_settings) as ledger:
        fill(ledger, home)
        back_up(ledger, tmp_path / "b.db")
        one = rows_of(ledger)
        keys_in(ledger, home).create("more")
        back_up(ledger, tmp_path / "other.db")
        other = rows_of(ledger)
    begun = time.monotonic()
    Forked(home, database_settings, tmp_path / "b.db").end()
    took = time.monotonic() - begun
    seen = set()
    for number, part in enumerate(KILLED_AFTER):
        file = tmp_path / ("b.db" if number % 2 else "other.db")
        restoring = Forked(home, database_settings, file)
        if part is None:
            restoring.end()
        else:
            restoring.kill_after(part * took)
        with open_ledger(home, database_settings) as after:
            found = rows_of(after)
        assert found in (one, other)
        seen.add(found == one)
    assert seen == {True, False}
    Forked(home, database_settings, tmp_path / "b.db").end()
    assert not [path for path in home.root.iterdir() if path.name.startswith(".")]
