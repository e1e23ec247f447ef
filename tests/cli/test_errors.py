"""What a command can meet is explained in a line, with what to do next, and never by a traceback."""

import errno
import sqlite3
import subprocess
import threading
from contextlib import closing

import pytest

from tests.cli import nursery
from tests.cli.conftest import COMMAND, TIMEOUT_S
from tests.fixtures.ledger import SQLITE, open_file
from weebill.cli.errors import explain
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.storage.errors import typed_errors
from weebill.storage.opening import open_ledger


def of_sqlite(kind, code):
    """What the ledger raises where SQLite raises this."""
    error = kind("as SQLite says it")
    error.sqlite_errorcode = code
    try:
        with typed_errors():
            raise error
    except Exception as raised:
        return raised


EXPECTED = [
    (of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_BUSY), "has it locked"),
    (of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_BUSY_SNAPSHOT), "has it locked"),
    (of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_LOCKED), "has it locked"),
    (of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_READONLY_DIRECTORY), "may write to it"),
    (of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_FULL), "free some space"),
    (of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_IOERR_WRITE), "check it"),
    (of_sqlite(sqlite3.DatabaseError, sqlite3.SQLITE_CORRUPT), "restore a backup"),
    (of_sqlite(sqlite3.DatabaseError, sqlite3.SQLITE_NOTADB), "restore a backup"),
    (of_sqlite(sqlite3.OperationalError, sqlite3.SQLITE_ERROR), "restore a backup"),
    (OSError(errno.ENOSPC, "No space left on device"), "free some space"),
    (OSError(errno.ENOSPC, "No space left on device", "/some/file"), "free some space"),
    (OSError(errno.EMFILE, "Too many open files", b"/some/file"), "ulimit -n"),
    (PermissionError(errno.EACCES, "Permission denied", "/some/file"), "WEEBILL_HOME"),
    (OSError("said without a number"), "WEEBILL_HOME"),
]


@pytest.mark.parametrize(("error", "hint"), EXPECTED)
def test_what_the_system_says_comes_with_what_to_do(error, hint):
    explanation = explain(error)
    assert explanation is not None
    assert hint in explanation.hint
    [message] = explanation.messages
    assert (str(error) if isinstance(error, LedgerError) else error.strerror or str(error)) in message
    assert not getattr(error, "filename", None) or "/some/file: " in message


@pytest.mark.parametrize(
    "fault",
    [
        ValueError("ours"),
        sqlite3.ProgrammingError("ours"),
        of_sqlite(sqlite3.IntegrityError, sqlite3.SQLITE_CONSTRAINT),
    ],
)
def test_faults_of_ours_deserve_their_traceback(fault):
    assert explain(fault) is None


LEDGER_COMMANDS = [
    ("keys", "create", "bob"),
    ("keys", "list"),
    ("keys", "revoke", "alice"),
    ("experiment", "list"),
    ("experiment", "create", "x", "--model", "big", "--candidate", "small"),
    ("serve", "--port", "0"),
]


def impatient(weebill, command):
    """It waits for the ledger a tenth of a second, not ten."""
    return nursery.weebill(command, "", weebill.env, TIMEOUT_S, busy_timeout_s=0.1)


def test_a_locked_ledger_is_explained_by_every_command(weebill):
    weebill.home.config_file.write_text(
        "[local]\nmodels = []\n[providers.acme]\nbase_url = 'http://h/v1'\nmodels = ['big', 'small']\n"
    )
    weebill.ok("keys", "create", "alice")
    with sqlite3.connect(weebill.home.database, isolation_level=None) as other:
        other.execute("PRAGMA journal_mode = DELETE")  # where readers wait as well
        other.execute("BEGIN EXCLUSIVE")
        results = {}
        threads = [
            threading.Thread(target=lambda each=each: results.update({each: impatient(weebill, each)}))
            for each in LEDGER_COMMANDS
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other.execute("ROLLBACK")
    for command, result in results.items():
        assert result.returncode == 1, (command, result)
        assert "Traceback" not in result.stderr
        assert "locked" in result.stderr, command
        assert "end that, such as" in result.stderr
        assert "backup" not in result.stderr
    assert weebill.ok("keys", "list", "-q").count("key_") == 1


def test_a_ledger_that_is_locked_later_is_explained_as_well(tmp_path):
    home = Home(tmp_path)
    with open_ledger(home, SQLITE, patience_s=0.01) as ledger:
        ledger.change(lambda _: None)
        with closing(sqlite3.connect(home.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError) as raised:
                ledger.change(lambda _: None)
    assert "has it locked" in raised.value.hint


@pytest.mark.parametrize(("content", "said"), [(b"no database" * 1000, "restore a backup"), (None, "may write to it")])
def test_a_ledger_that_is_none_says_what_to_do(tmp_path, content, said):
    path = tmp_path / "weebill.db"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(LedgerError, match=said):
        open_file(path)


@pytest.mark.parametrize(
    "command",
    [
        ("config", "show"),
        ("models",),
        *(pytest.param((each,), marks=pytest.mark.slow) for each in ("providers", "version")),
    ],
)
def test_output_that_has_no_room_is_explained(weebill, command):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [*COMMAND, *command], env=weebill.env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert result.returncode == 1
    assert result.stderr == "error: No space left on device\nhint: free some space and try again\n"
