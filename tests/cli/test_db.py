from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.fixtures.records import write_records
from tests.storage.older import EARLIER, make_ledger
from weebill.storage.schema import LEDGER


@pytest.fixture
def on_postgresql(weebill: CommandLine, postgres: str) -> str:
    """Has the command line use a database whose address holds a password; returns that."""
    secret = "s3cret-of-postgresql"
    url = postgres.replace("weebill@", f"weebill:{secret}@")
    weebill.home.config_file.write_text(f'[database]\nurl = "{url}"\n')
    return secret


def test_info_before_and_after_there_is_a_ledger(weebill: CommandLine) -> None:
    said = weebill.fails(1, "db", "info")
    assert "there is no ledger" in said
    assert not weebill.home.database.exists()
    assert weebill.ok("db", "upgrade") == f"Made the ledger, with schema {LEDGER.newest}\n"
    assert weebill.ok("db", "upgrade") == f"The ledger is up to date, with schema {LEDGER.newest}\n"
    weebill.ok("keys", "create", "ci")
    write_records(weebill.home, 5)
    said = weebill.ok("db", "info")
    for line in ("SQLite 3", str(weebill.home.database), "1 active, 0 revoked", f"this release has {LEDGER.newest}"):
        assert line in said
    told = json.loads(weebill.ok("db", "info", "--json"))
    [segment] = weebill.home.journal.glob("*.jsonl")
    assert (told["keys"], told["requests"], told["waiting_bytes"]) == (1, 0, segment.stat().st_size)


def test_an_earlier_ledger_is_told_and_upgraded(weebill: CommandLine) -> None:
    make_ledger(weebill.home.database, len(EARLIER))
    found = f"{len(EARLIER):04}"
    said = weebill.ok("db", "info")
    assert f"{found} (this release has {LEDGER.newest})" in said
    assert "`weebill db upgrade` brings it up to date" in said
    assert weebill.ok("db", "upgrade") == f"Brought the ledger from schema {found} to {LEDGER.newest}\n"
    assert json.loads(weebill.ok("db", "info", "--json"))["requests"] > 0


def test_a_newer_ledger_is_told_and_refused(weebill: CommandLine) -> None:
    weebill.home.config_file.write_text("[local]\nmodels = []\n")
    weebill.ok("db", "upgrade")
    with closing(sqlite3.connect(weebill.home.database)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "made by a newer release" in weebill.ok("db", "info")
    for command in ("db upgrade", "keys list", "serve"):
        assert "made by a newer Weebill" in weebill.fails(1, *command.split()), command


def test_backup_and_restore(weebill: CommandLine, tmp_path: Path) -> None:
    file = str(tmp_path / "b.db")
    weebill.ok("keys", "create", "ci")
    said = weebill.ok("db", "backup", file)
    assert f"Wrote {file}" in said
    assert f"Keep {weebill.home.pepper} as well" in said
    assert "is there already" in weebill.fails(1, "db", "backup", file)
    assert weebill.ok("db", "backup", file, "--overwrite", "-q") == f"{file}\n"
    assert "there is no folder" in weebill.fails(1, "db", "backup", str(tmp_path / "none" / "b.db"))
    weebill.ok("keys", "create", "later")
    said = weebill.fails(1, "db", "restore", file)
    assert "The ledger has 2 active keys" in said
    assert "`--yes`" in said
    assert "later" in weebill.ok("keys", "list")
    said = weebill.ok("db", "restore", file, "--yes")
    assert f"Restored 1 active key, 0 requests, 0 experiments from {file}\n" in said
    assert "later" not in weebill.ok("keys", "list")
    kept = said.split()[-1]
    # A person is asked, and sees progress.
    assert "Replace it with 2 active keys" in weebill.on_terminal("db", "restore", kept, typed="y\n")
    assert "later" in weebill.ok("keys", "list")


def test_a_restored_ledger_of_another_installation_is_told(weebill: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "b.db"
    weebill.ok("keys", "create", "ci")
    weebill.ok("db", "backup", str(file))
    weebill.home.pepper.unlink()
    for left in weebill.home.root.glob("weebill.db*"):
        left.unlink()
    # Not even a key of its own: its secret.key comes into being with the first.
    result = weebill("db", "restore", str(file))
    assert result.returncode == 0
    assert "warning: the restored keys are made with a secret.key that this installation has not" in result.stderr
    assert "`weebill db rekey`" in result.stderr
    assert "secret.key is missing" in weebill.fails(1, "keys", "list")
    assert "all API keys" in weebill.fails(1, "db", "rekey")
    assert weebill.ok("db", "rekey", "--yes").startswith("Revoked 1 key; ")
    weebill.ok("keys", "create", "new")
    assert weebill.ok("keys", "list", "-q").count("key_") == 1


def test_a_laptops_ledger_moves_to_postgresql(
    weebill: CommandLine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = str(tmp_path / "b.db")
    weebill.ok("keys", "create", "ci")
    weebill.ok("db", "backup", file)
    secret = request.getfixturevalue("on_postgresql")
    assert "schema   none" in weebill.ok("db", "info")
    said = [weebill.ok("db", "restore", file)]
    said.append(weebill.ok("keys", "list"))
    assert "ci" in said[-1]
    said.append(weebill.ok("db", "info"))
    assert "PostgreSQL" in said[-1]
    assert "127.0.0.1:" in said[-1]
    said.append(weebill.fails(1, "db", "restore", file))
    assert "which will not be kept (`pg_dump` does that)" in said[-1]
    said.append(weebill.ok("db", "backup", file, "--overwrite"))
    said.append(weebill.ok("db", "upgrade"))
    assert not any(secret in each for each in said)


def test_a_postgresql_that_does_not_answer_is_told_without_its_password(weebill: CommandLine) -> None:
    weebill.home.config_file.write_text('[database]\nurl = "postgresql://joe:s3cret@127.0.0.1:1/weebill"\n')
    for command in ("db info", "db upgrade", "db backup b.db", "keys list"):
        said = weebill.fails(1, *command.split())
        assert "PostgreSQL is running" in said
        assert "s3cret" not in said


@pytest.mark.parametrize(
    ("parameter", "hint"),
    [
        ("sslmode=maybe", "mend `url` in [database]"),
        ("sslmoode=require", "mend `url` in [database]"),
        ("sslmode=require", "do without it"),
    ],
)
def test_an_address_that_the_driver_refuses_is_told_without_its_password(
    weebill: CommandLine, postgres: str, parameter: str, hint: str
) -> None:
    url = postgres.replace("weebill@", "weebill:s3cret@")
    weebill.home.config_file.write_text(f'[database]\nurl = "{url}?{parameter}"\n')
    said = weebill.fails(1, "db", "info")
    assert hint in said
    assert "Traceback" not in said
    assert "s3cret" not in said
