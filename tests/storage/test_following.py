from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from msgspec import Raw

from tests.fixtures.ledger import SQLITE, open_file
from tests.usage.journal_process import make_record
from weebill.accounts.pepper import digest_of, read_pepper
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import MeteringSettings
from weebill.ledger.ingestion import IngestThread
from weebill.ledger.topics import Keys
from weebill.process.questions import Position, Unanswered, encode
from weebill.storage.database import Database
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger
from weebill.storage.sqlite.files import Note
from weebill.storage.sqlite.opening import open_reader
from weebill.storage.versions import Positions
from weebill.usage.journal import JournalWriter


@pytest.fixture
def journal(home: Home) -> Iterator[JournalWriter]:
    with open_keys(home, SQLITE):
        pass
    writer = JournalWriter(home.journal, 0, MeteringSettings(segment_bytes=4096))
    yield writer
    writer.close()


@pytest.fixture
def ingestion(home: Home, journal: JournalWriter) -> Iterator[IngestThread]:
    thread = IngestThread(home, SQLITE, 0.01)
    thread.start()
    yield thread
    thread.finish(30)


@pytest.fixture
def ledger(home: Home) -> Iterator[Database]:
    with open_ledger(home, SQLITE, patience_s=10.0) as ledger:
        yield ledger


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
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


def whole(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as reader:
        return reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def has_lines(path: Path, count: int) -> bool:
    return lines(path) >= count


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
    # By a process of its own: closing the file here would let go of SQLite's locks on it.
    subprocess.run(["cp", copy, home.database], check=True)
    eventually(lambda: len(ids(home.database)) == 101)


@pytest.mark.parametrize("lost", [Path.unlink, lambda path: os.truncate(path, 0)], ids=["missing", "empty"])
def test_no_new_ledger_is_made_where_one_was(home: Home, lost: Callable[[Path], None]) -> None:
    with open_keys(home, SQLITE):
        pass
    lost(home.database)
    with (
        pytest.raises(LedgerError, match=r"is (missing|empty).*[Rr]estore a backup"),
        open_keys(home, SQLITE) as keys,
    ):
        keys.create("late")
    assert not home.database.exists() or home.database.stat().st_size == 0
    home.pepper.unlink()
    with open_keys(home, SQLITE):
        pass  # begun anew


def test_keys_of_the_file_that_is_there_are_followed(
    home: Home, ledger: Database, journal: JournalWriter, ingestion: IngestThread, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Keys(ledger, Positions(ledger))
    journal.append(make_record("before"))
    eventually(lambda: ids(home.database) == {"before"})
    with caplog.at_level(logging.WARNING):
        rename_over(home, back_up(home))
        eventually(lambda: "was replaced" in caplog.text)
    with open_keys(home, SQLITE) as keys:
        created = keys.create("late", "user")

    def known() -> bool:
        digest = digest_of(created.secret.encode(), read_pepper(home.pepper))
        try:
            return topic.answer(Raw(encode(digest))) != encode(None)
        except Unanswered:
            return False

    eventually(known)
    with open_keys(home, SQLITE) as keys:
        keys.revoke("late")
    eventually(lambda: not known())


def test_a_key_made_before_anybody_has_noticed_stays(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """The log of the file that went is there still: it is not read for the new file, nor written for it."""
    with open_keys(home, SQLITE):
        pass
    holder = open_file(home.database)
    copy = back_up(home)
    holder.execute("UPDATE meta SET value = 99 WHERE name = 'keys_version'")
    old = rename_over(home, copy)
    with caplog.at_level(logging.WARNING), open_keys(home, SQLITE) as keys:
        created = keys.create("late")
        assert "was replaced; what its log holds is in weebill.db-wal.replaced-" in caplog.text
        assert not holder.is_current()
        holder.execute("UPDATE meta SET value = 100 WHERE name = 'keys_version'")
        holder.close()
        assert keys.all() == [created.key]
    with open_keys(home, SQLITE) as keys:
        assert keys.all() == [created.key]
    assert whole(home.database)
    assert whole(old)
    with closing(sqlite3.connect(old)) as reader:
        assert reader.execute("SELECT value FROM meta WHERE name = 'keys_version'").fetchall() == [(100,)]
    assert not home.database.with_name("weebill.db-wal").exists()


def test_a_change_goes_into_the_file_in_use(home: Home) -> None:
    with open_keys(home, SQLITE) as keys:
        kept = keys.create("kept").key
        old = rename_over(home, back_up(home))
        created = keys.create("late").key
        revoked = keys.revoke("kept")
    with open_keys(home, SQLITE) as keys:
        assert keys.all() == [revoked, created]
        assert revoked.id == kept.id
        assert revoked.revoked_at is not None
    with closing(sqlite3.connect(old)) as reader:
        assert reader.execute("SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL").fetchall() == [(0,)]


def test_no_change_is_confirmed_without_a_ledger(home: Home) -> None:
    with open_keys(home, SQLITE) as keys:
        home.database.rename(home.root / "old.db")
        with pytest.raises(LedgerError, match="is missing"):
            keys.create("late")
    assert not home.database.exists()


def test_a_ledger_that_was_away_for_a_moment_keeps_its_log(home: Home) -> None:
    with open_keys(home, SQLITE):
        pass
    with closing(open_file(home.database)) as holder:
        holder.execute("UPDATE meta SET value = 99 WHERE name = 'keys_version'")
        away = home.database.rename(home.root / "away.db")
        with pytest.raises(sqlite3.OperationalError):
            open_reader(home.database)
        away.rename(home.database)
        with open_keys(home, SQLITE) as keys:
            keys.create("late")
        assert holder.execute("SELECT value FROM meta WHERE name = 'keys_version'").fetchall() == [(100,)]
    assert whole(home.database)


def test_a_log_left_by_a_kill_is_not_taken_for_that_of_a_backup(home: Home) -> None:
    with open_keys(home, SQLITE):
        pass
    copy = back_up(home)
    script = "import os, sys; from pathlib import Path; from weebill.storage.sqlite.opening import open_writer; "
    script += "open_writer(Path(sys.argv[1]), 10).execute('UPDATE meta SET value = 99'); os._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(home.database)], check=True)
    assert home.database.with_name("weebill.db-wal").stat().st_size > 0
    copy.replace(home.database)
    with closing(open_reader(home.database)) as reader:
        assert reader.execute("SELECT value FROM meta WHERE name = 'keys_version'").fetchall() == [(0,)]
    assert len(list(home.root.glob("weebill.db-wal.replaced-*"))) == 1


def test_a_ledger_that_is_replaced_while_it_is_opened(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_keys(home, SQLITE):
        pass
    copy = back_up(home)
    with closing(open_file(home.database)) as holder:
        holder.execute("UPDATE meta SET value = 99 WHERE name = 'keys_version'")
        settle = Note.settle_log

        def settle_and_replace(note: Note) -> None:
            settle(note)
            if copy.exists():
                copy.replace(home.database)

        monkeypatch.setattr(Note, "settle_log", settle_and_replace)
        with closing(open_file(home.database)) as ledger:
            assert ledger.execute("SELECT value FROM meta WHERE name = 'keys_version'").fetchall() == [(0,)]


def test_the_log_that_a_reader_makes_is_that_of_its_file(home: Home) -> None:
    """Were it not noted, it would be taken for the old file's whenever it came to have the same number as that had."""
    with open_keys(home, SQLITE):
        pass
    holder = open_file(home.database)
    rename_over(home, back_up(home))
    with closing(open_reader(home.database)) as reader:
        log = home.database.with_name("weebill.db-wal").stat()
        noted = [int(word) for word in home.database.with_name("weebill.db-owner").read_text().split()]
        assert noted == [log.st_dev, home.database.stat().st_ino, log.st_dev, log.st_ino]
        holder.close()
        with open_keys(home, SQLITE) as keys:
            created = keys.create("late").key
        assert home.database.with_name("weebill.db-wal").stat().st_ino == log.st_ino
        assert reader.execute("SELECT id FROM api_keys").fetchall() == [(created.id,)]


def test_a_folder_that_was_copied_whole_keeps_its_log(home: Home, tmp_path: Path) -> None:
    with open_keys(home, SQLITE):
        pass
    with closing(open_file(home.database)) as holder:
        holder.execute("UPDATE meta SET value = 99 WHERE name = 'keys_version'")
        other = Home(tmp_path / "other")
        shutil.copytree(home.root, other.root)
    with closing(open_file(other.database)) as ledger:
        assert ledger.execute("SELECT value FROM meta WHERE name = 'keys_version'").fetchall() == [(99,)]


@pytest.mark.timeout(180)
def test_what_is_confirmed_while_backups_are_put_back_is_there(
    home: Home, ledger: Database, journal: JournalWriter, ingestion: IngestThread, tmp_path: Path
) -> None:
    """But for what was changed after the backup was begun and before it was in place."""
    reader = Keys(ledger, Positions(ledger)).feed(Raw(encode(Position())))
    command = [sys.executable, str(Path(__file__).parents[1] / "accounts" / "key_process.py"), str(home.root)]
    outputs = [tmp_path / f"changes-{number}" for number in range(2)]
    processes = [subprocess.Popen(command, stdout=output.open("wb")) for output in outputs]
    eventually(lambda: all(output.stat().st_size for output in outputs))
    replaced: list[tuple[float, float]] = []
    went: list[Path] = []
    for number in range(12):
        journal.append(make_record(f"during-{number}"))
        with suppress(Unanswered):
            reader.news()
        began = time.monotonic()
        old = rename_over(home, back_up(home))
        replaced.append((began, time.monotonic()))
        went.append(old.rename(tmp_path / f"old-{number}.db"))
        for output in outputs:
            # The first may have begun before, and the second not.
            eventually(partial(has_lines, output, lines(output) + 2))
    for process in processes:
        process.kill()
        process.wait()
    with open_keys(home, SQLITE) as keys:
        found = {key.id: key.revoked_at is not None for key in keys.all()}
    kept = 0
    for line in "".join(output.read_text() for output in outputs).splitlines():
        change, key_id, began, ended = line.split()
        if not any(start <= float(ended) and float(began) <= end for start, end in replaced):
            assert found.get(key_id) == (change == "revoke"), line
            kept += 1
    assert kept > 12
    ingestion.finish(30)
    assert whole(home.database)
    assert all(map(whole, went))
    assert {f"during-{number}" for number in range(12)} <= set().union(*map(ids, [home.database, *went]))
