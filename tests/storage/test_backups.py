from __future__ import annotations

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import write_records
from tests.storage.contents import fill, rows_of
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.backups.candidates import candidate_of
from weebill.storage.backups.earlier import fitting
from weebill.storage.backups.files import BackupError, draft_for, publish
from weebill.storage.backups.making import back_up
from weebill.storage.backups.progress import Step
from weebill.storage.backups.restoring import restore
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.opening import open_ledger
from weebill.storage.schema import LEDGER
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester

HEADER = 100  # bytes, which SQLite changes where it opens a file


def put_back(ledger: Database, file: Path, home: Home) -> Path | None:
    """Restores a backup as the command does."""
    with candidate_of(file, home.database) as candidate:
        return restore(ledger, candidate)


def test_a_backup_is_a_sqlite_ledger_with_all_rows(ledger: Database, home: Home, tmp_path: Path) -> None:
    fill(ledger, home)
    told: list[tuple[Step, int, int]] = []
    size = back_up(ledger, tmp_path / "b.db", progress=lambda *step: told.append(step))
    assert stat.S_IMODE((tmp_path / "b.db").stat().st_mode) == 0o600
    assert (tmp_path / "b.db").stat().st_size == size
    assert told[-1][1] == told[-1][2] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"b.db", "home"}
    other = Home(tmp_path / "other")
    other.create()
    (tmp_path / "b.db").rename(other.database)
    with open_ledger(other, SQLITE) as copy:
        assert rows_of(copy) == rows_of(ledger)


def test_a_backup_of_either_database_is_restored_into_either(
    ledger: Database, database_settings: DatabaseSettings, home: Home, other_postgres: str, tmp_path: Path
) -> None:
    fill(ledger, home)
    back_up(ledger, tmp_path / "b.db")
    before = rows_of(ledger)
    for number, settings in enumerate((SQLITE, DatabaseSettings(url=other_postgres))):
        other = Home(tmp_path / f"other-{number}")
        other.create()
        with open_ledger(other, settings) as target:
            fill(target, other)
            first = target.read(lambda connection: target.source(connection))
            kept = put_back(target, tmp_path / "b.db", other)
            assert rows_of(target) == before
            assert target.read(lambda connection: target.source(connection)) != first
            assert (kept is None) == (settings.url is not None)
            # It is a ledger like any other: new rows have new ids.
            write_records(other, 10)
            Ingester(StoredUsage(target), other.journal).run()
            assert rows_of(target)["usage"].total() == before["usage"].total() + 10
            assert rows_of(target)["quarantine"] == before["quarantine"]


def test_a_backup_replaces_no_file_unless_told(ledger: Database, home: Home, tmp_path: Path) -> None:
    fill(ledger, home)
    file = tmp_path / "b.db"
    file.write_text("precious")
    with pytest.raises(BackupError, match="is there already"):
        back_up(ledger, file)
    with pytest.raises(BackupError, match="is no backup"):
        back_up(ledger, file, overwrite=True)
    assert file.read_text() == "precious"
    file.write_text("")
    for _ in range(2):
        back_up(ledger, file, overwrite=True)
        with candidate_of(file, home.database) as candidate:
            assert candidate.contents.keys == 2
    file.with_name("b.db-wal").touch()
    with pytest.raises(BackupError, match="is in use"):
        back_up(ledger, file, overwrite=True)


def test_no_other_database_is_taken_for_a_backup(ledger: Database, home: Home, tmp_path: Path) -> None:
    fill(ledger, home)
    back_up(ledger, tmp_path / "b.db")
    in_use, other, cut = (tmp_path / name for name in ("in_use.db", "other.db", "cut.db"))
    in_use.write_bytes((tmp_path / "b.db").read_bytes())
    cut.write_bytes((tmp_path / "b.db").read_bytes()[:100])
    with closing(sqlite3.connect(in_use)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    for file in (in_use, other, cut, tmp_path):
        before = None if file.is_dir() else file.read_bytes()
        with pytest.raises(BackupError, match="is no backup"):
            back_up(ledger, file, overwrite=True)
        assert file.is_dir() or file.read_bytes() == before


def test_the_ledger_is_not_overwritten_by_its_own_backup(home: Home) -> None:
    with open_ledger(home, SQLITE) as ledger:
        fill(ledger, home)
        home.root.joinpath("link").symlink_to(home.database)
        for name in ("weebill.db", "link"):
            with pytest.raises(BackupError, match="is the ledger itself"):
                back_up(ledger, home.root / name, overwrite=True)


def test_a_draft_is_published_by_one_alone_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "b"
    with draft_for(file) as first, draft_for(file) as second:
        first.write_text("first")
        second.write_text("second")
        publish(first, file, overwrite=False)
        with pytest.raises(FileExistsError):
            publish(second, file, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert file.read_text() == "first"


def test_the_drafts_of_killed_processes_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "b"
    left = tmp_path / f".b.{'0' * 16}"
    left.touch()
    left.with_name(f"{left.name}-wal").touch()
    others = [tmp_path / f".b.{'x' * 16}", tmp_path / ".b.conf"]
    for other in others:
        other.touch()
    with draft_for(file) as first, draft_for(file) as second:
        assert {*tmp_path.iterdir()} == {first, second, *others}


def test_a_ledger_of_another_schema_is_not_copied_row_by_row(postgres: str, home: Home, tmp_path: Path) -> None:
    with open_ledger(home, DatabaseSettings(url=postgres)) as ledger:
        with pytest.raises(BackupError, match="has schema none"):
            back_up(ledger, tmp_path / "b.db")
        assert not (tmp_path / "b.db").exists()


def test_a_sqlite_ledger_is_backed_up_without_being_upgraded(home: Home, tmp_path: Path) -> None:
    with closing(sqlite3.connect(home.database)) as newer:
        newer.execute("CREATE TABLE meta (name)")
        newer.execute("PRAGMA user_version = 99")
    with open_ledger(home, SQLITE) as ledger:
        back_up(ledger, tmp_path / "b.db")
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        assert copy.execute("PRAGMA user_version").fetchall() == [(99,)]


def test_there_has_to_be_a_ledger(home: Home, tmp_path: Path) -> None:
    with open_ledger(home, SQLITE) as ledger, pytest.raises(BackupError, match="There is no ledger"):
        back_up(ledger, tmp_path / "b.db")
    assert not list(tmp_path.glob("*b.db*"))


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The contents of a backup."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.create()
    with open_ledger(home, SQLITE) as ledger:
        fill(ledger, home)
        back_up(ledger, home.root / "b.db")
    return (home.root / "b.db").read_bytes()


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5000])


def _overwritten(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[8192:12288] = b"\xa5" * 4096
    file.write_bytes(content)


def _without_a_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE quarantine")


def _without_a_column(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("ALTER TABLE api_keys RENAME COLUMN hint TO clue")


def _newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {int(LEDGER.newest) + 1}")


def _of_another_program(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE songs (title)")


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _text(file: Path) -> None:
    file.write_text("no database at all, but a longer text" * 100)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_truncated, "is no whole ledger|is damaged"),
        (_overwritten, "is damaged|is no whole ledger"),
        (_without_a_table, "is no ledger"),
        (_without_a_column, "api_keys has no hint"),
        (_newer, "made by a newer Weebill"),
        (_of_another_program, "is no ledger"),
        (_empty, "is no ledger"),
        (_text, "is no whole ledger"),
        (Path.unlink, "there is no file"),
    ],
)
def test_what_is_no_whole_ledger_is_not_restored(
    spoil: Callable[[Path], None], said: str, home: Home, backup: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "b.db"
    file.write_bytes(backup)
    spoil(file)
    with open_ledger(home, SQLITE) as ledger, pytest.raises(LedgerError, match=said):
        put_back(ledger, file, home)
    assert not home.database.exists()
    assert not [path for path in home.root.iterdir() if path.name.startswith(".")]


def test_processes_that_have_the_file_open_go_on_with_the_restored_one(home: Home, tmp_path: Path) -> None:
    with open_ledger(home, SQLITE) as ledger, open_ledger(home, SQLITE) as other:
        fill(ledger, home)
        back_up(ledger, tmp_path / "b.db")
        before = rows_of(ledger)
        late = keys_in(other, home).create("late").key
        kept = put_back(ledger, tmp_path / "b.db", home)
        assert rows_of(other) == before
        assert kept is not None
        assert late not in keys_in(other, home).all()
        made = keys_in(other, home).create("later").key
        assert made in keys_in(ledger, home).all()
        put_back(ledger, kept, home)
        assert late in keys_in(other, home).all()
        assert made not in keys_in(other, home).all()


def test_a_restore_leaves_no_log_of_the_old_file(home: Home, tmp_path: Path) -> None:
    with open_ledger(home, SQLITE) as ledger:
        fill(ledger, home)
        back_up(ledger, tmp_path / "b.db")
        kept = put_back(ledger, tmp_path / "b.db", home)
        assert kept is not None
        assert {*home.root.glob("weebill.db*")} == {home.database, kept, home.root / "weebill.db-owner"}


def test_a_damaged_ledger_is_replaced_and_kept(home: Home, tmp_path: Path) -> None:
    with open_ledger(home, SQLITE) as ledger:
        fill(ledger, home)
        back_up(ledger, tmp_path / "b.db")
        before = rows_of(ledger)
    for spoil in (_text, _overwritten):
        spoil(home.database)
        damaged = home.database.read_bytes()
        with open_ledger(home, SQLITE) as ledger:
            kept = put_back(ledger, tmp_path / "b.db", home)
            assert rows_of(ledger) == before
        assert kept is not None
        assert kept.read_bytes()[HEADER:] == damaged[HEADER:]
        kept.unlink()


def test_a_lost_ledger_is_restored(home: Home, tmp_path: Path) -> None:
    with open_ledger(home, SQLITE) as ledger:
        fill(ledger, home)
        back_up(ledger, tmp_path / "b.db")
        before = rows_of(ledger)
    home.database.unlink()
    with open_ledger(home, SQLITE) as ledger:
        with pytest.raises(LedgerError, match="is missing"):
            ledger.change(lambda _: None)
        assert put_back(ledger, tmp_path / "b.db", home) is None
        assert rows_of(ledger) == before


def test_nothing_is_written_beside_a_backup_that_is_restored(home: Home, tmp_path: Path) -> None:
    with open_ledger(home, SQLITE) as ledger:
        fill(ledger, home)
        before = rows_of(ledger)
    # A copy of a closed ledger, as `cp` makes it: SQLite would want a log beside it.
    folder = tmp_path / "backups"
    folder.mkdir()
    (folder / "copy.db").write_bytes(home.database.read_bytes())
    other = Home(tmp_path / "other")
    other.create()
    with open_ledger(other, SQLITE) as ledger:
        put_back(ledger, folder / "copy.db", other)
        assert rows_of(ledger) == before
    assert [path.name for path in folder.iterdir()] == ["copy.db"]


def test_names_that_an_index_does_not_take_are_shortened_and_added_up(
    postgres: str, home: Home, tmp_path: Path
) -> None:
    with open_ledger(home, SQLITE) as ledger:
        ledger.change(lambda _: None)
    names = ["a\0b", "a\ufffdb", "x" * 5000, "x" * 6000, "x" * 1000, "plain"]
    with closing(sqlite3.connect(home.database)) as connection:
        connection.executemany(
            "INSERT INTO usage_daily VALUES (1, 'key_1', ?, 1, 0, 5, 0, 0, ?, 0)",
            [(name, 2**62) for name in names],
        )
        connection.commit()
    with open_ledger(home, DatabaseSettings(url=postgres)) as ledger:
        put_back(ledger, home.database, home)
        found = rows_of(ledger)["usage_daily"]
    most = 2**63 - 1
    assert found == {
        (1, "key_1", "a\ufffdb", 2, 0, 10, 0, 0, most, 0): 1,
        (1, "key_1", "x" * 1000, 3, 0, 15, 0, 0, most, 0): 1,
        (1, "key_1", "plain", 1, 0, 5, 0, 0, 2**62, 0): 1,
    }
    assert fitting("é" * 600) == "é" * 500
