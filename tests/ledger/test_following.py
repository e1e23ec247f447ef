from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journal_process import make_record

from weebill.config.paths import Home
from weebill.config.schema import MeteringSettings
from weebill.console.ingestion import IngestThread
from weebill.ledger.database import LedgerError, open_ledger, open_reader
from weebill.ledger.journal import JournalWriter
from weebill.ledger.keyring import KeyRing, LedgerUnavailable
from weebill.ledger.keys import KeyStore, read_pepper


@pytest.fixture
def journal(home: Home) -> Iterator[JournalWriter]:
    KeyStore.open(home).close()
    writer = JournalWriter(home.journal, 0, MeteringSettings(segment_bytes=4096))
    yield writer
    writer.close()


@pytest.fixture
def ingestion(home: Home, journal: JournalWriter) -> Iterator[IngestThread]:
    thread = IngestThread(home, 0.01)
    thread.start()
    yield thread
    thread.finish(30)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ids(path: Path) -> set[str]:
    try:
        reader = open_reader(path)
        try:
            assert reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return {id_ for (id_,) in reader.execute("SELECT request_id FROM usage")}
        finally:
            reader.close()
    except sqlite3.OperationalError:  # not there yet
        return set()


def back_up(home: Home) -> Path:
    copy = home.root / "copy.db"
    source, target = open_reader(home.database), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    return copy


def rename_over(home: Home, copy: Path) -> Path:
    old = home.root / "old.db"
    os.link(home.database, old)
    copy.replace(home.database)
    return old


def move_and_rename(home: Home, copy: Path) -> Path:
    old = home.database.rename(home.root / "old.db")
    time.sleep(0.1)  # ingestion sees that there is none
    copy.rename(home.database)
    return old


def move_folderful(home: Home, copy: Path) -> Path:
    """The log and its index go with the ledger, and come back without."""
    for suffix in ("-wal", "-shm", ""):
        path = home.database.with_name(home.database.name + suffix)
        if path.exists():
            path.rename(home.root / f"old.db{suffix}")
    copy.rename(home.database)
    return home.root / "old.db"


@pytest.mark.parametrize("replace", [rename_over, move_and_rename, move_folderful])
def test_usage_goes_into_the_file_that_is_there(
    home: Home,
    journal: JournalWriter,
    ingestion: IngestThread,
    caplog: pytest.LogCaptureFixture,
    replace: Callable[[Home, Path], Path],
) -> None:
    written = {f"before-{number}" for number in range(40)}
    for name in written:
        journal.append(make_record(name))
    eventually(lambda: ids(home.database) == written)
    copy = back_up(home)
    more = {f"more-{number}" for number in range(40)}
    for name in more:
        journal.append(make_record(name))
    eventually(lambda: ids(home.database) == written | more)
    with caplog.at_level(logging.WARNING):
        old = replace(home, copy)
        after = {f"after-{number}" for number in range(200)}
        for name in after:
            journal.append(make_record(name))
        eventually(lambda: "was replaced" in caplog.text or "there was one" in caplog.text)
        eventually(lambda: after <= ids(home.database))
    assert written <= ids(home.database)
    assert written | more <= ids(old) | ids(home.database)
    assert written | more <= ids(old)  # the file that went is whole, its log included
    eventually(lambda: len(list(home.journal.iterdir())) == 1)


def test_an_emptied_ledger_is_said_and_the_backup_goes_on(
    home: Home, journal: JournalWriter, ingestion: IngestThread, caplog: pytest.LogCaptureFixture
) -> None:
    journal.append(make_record("before"))
    eventually(lambda: ids(home.database) == {"before"})
    copy = back_up(home)
    with caplog.at_level(logging.ERROR):
        os.truncate(home.database, 0)
        eventually(lambda: any("is empty" in record.message for record in caplog.records))
    for number in range(100):
        journal.append(make_record(f"after-{number}"))
    assert home.database.stat().st_size == 0  # and nothing made in its place
    shutil.copyfile(copy, home.database)
    eventually(lambda: len(ids(home.database)) == 101)


@pytest.mark.parametrize("lost", [Path.unlink, lambda path: os.truncate(path, 0)], ids=["missing", "empty"])
def test_no_new_ledger_is_made_where_one_was(home: Home, lost: Callable[[Path], None]) -> None:
    KeyStore.open(home).close()
    lost(home.database)
    for opening in (lambda: open_ledger(home.database), lambda: KeyStore.open(home)):
        with pytest.raises(LedgerError, match=r"is (missing|empty), and there was one.*[Rr]estore a backup"):
            opening()
    assert not home.database.exists() or home.database.stat().st_size == 0
    home.pepper.unlink()
    KeyStore.open(home).close()  # begun anew


def test_keys_of_the_file_that_is_there_are_followed(
    home: Home, journal: JournalWriter, ingestion: IngestThread, caplog: pytest.LogCaptureFixture
) -> None:
    keyring = KeyRing(home.database, read_pepper(home.pepper))
    journal.append(make_record("before"))
    eventually(lambda: ids(home.database) == {"before"})
    with caplog.at_level(logging.WARNING):
        rename_over(home, back_up(home))
        eventually(lambda: "was replaced" in caplog.text)
    with KeyStore.open(home) as keys:
        created = keys.create("late", "user")

    def known() -> bool:
        keyring.refresh()
        try:
            return keyring.authenticate(created.secret.encode()) is not None
        except LedgerUnavailable:
            return False

    eventually(known)
    with KeyStore.open(home) as keys:
        keys.revoke("late")
    eventually(lambda: not known())
    keyring.close()
