"""A PostgreSQL that does not answer: one call tries it again, and all others fail at once."""

from __future__ import annotations

import re
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from bench.outage.between import Between
from tests.fixtures.postgresql import PostgresServer
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.advice.postgresql import advice_on_connecting
from weebill.storage.errors import NotAnsweringError
from weebill.storage.opening import open_ledger
from weebill.storage.postgresql import outage
from weebill.storage.postgresql.outage import Outage

URL = "postgresql://joe:s3cret@db/weebill"
CALLERS = 8


def silence() -> None:
    raise NotAnsweringError(TimeoutError("it does not answer"), "See to it")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls count as long ones."""
    monkeypatch.setattr(outage, "_QUICK_S", 0.0)


def called(watched: Outage) -> bool:
    """Whether a call is made."""
    made = False
    try:
        with watched.watched():
            made = True
            silence()
    except NotAnsweringError as error:
        assert str(error) == "the ledger cannot be used: it does not answer"  # noqa: PT017 - of those that are not made, too
    return made


@pytest.mark.usefixtures("patient")
def test_others_fail_at_once_until_it_is_time_to_try_again() -> None:
    watched = Outage()
    assert [called(watched) for _ in range(3)] == [True, False, False]


@pytest.mark.usefixtures("patient")
def test_one_at_a_time_tries_again_and_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "_RETRY_S", 0.0)
    watched = Outage()
    assert called(watched)
    with watched.watched():
        assert not called(watched)
    with watched.watched():
        assert called(watched), "several may call one that answers"
    assert called(watched)


def test_who_is_told_at_once_may_try_again_at_once() -> None:
    watched = Outage()
    assert [called(watched) for _ in range(3)] == [True, True, True]


def test_a_fault_is_an_answer() -> None:
    watched = Outage()
    with pytest.raises(ZeroDivisionError), watched.watched():
        raise ZeroDivisionError
    with watched.watched():
        pass


def test_a_silent_server_holds_up_one_caller(home: Home, own_postgres_server: PostgresServer) -> None:
    server = own_postgres_server

    def read(connection: Connection) -> int:
        return int(connection.execute(text("SELECT 1")).scalar_one())

    with Between(server.port) as between:
        url = server.database().replace(f":{server.port}/", f":{between.port}/")
        with open_ledger(home, DatabaseSettings(url=url), patience_s=1.0) as ledger:
            assert ledger.read(read) == 1
            between.silent = True
            with pytest.raises(LedgerError, match="does not answer"):
                ledger.read(read)
            begun = threading.Barrier(CALLERS)

            def call(_: int) -> str:
                begun.wait()
                try:
                    return str(ledger.read(read))
                except LedgerError as error:
                    return str(error)

            with ThreadPoolExecutor(CALLERS) as threads:
                assert set(threads.map(call, range(CALLERS))) == {"the ledger cannot be used: it does not answer"}
            between.silent = False
            found = 0
            while not found:
                try:
                    found = ledger.read(read)
                except LedgerError:
                    continue
            assert ledger.stamp()


@pytest.mark.parametrize(
    ("error", "parameters", "hint"),
    [
        (FileNotFoundError(2, "No such file"), "?sslrootcert=/nowhere.pem", "`sslrootcert` is /nowhere.pem"),
        (PermissionError(13, "Denied"), "?sslcert=/a.pem&sslkey=/b.pem", "`sslcert` is /a.pem, `sslkey` is /b.pem"),
        (FileNotFoundError(2, "No such file"), "", "PostgreSQL is running"),
        (ssl.SSLError("bad"), "?sslrootcert=/a.pem", "certificate is valid .*`sslrootcert` is /a.pem"),
        (ConnectionError("unexpected connection_lost() call"), "", "PostgreSQL is running"),
        (ConnectionError('PostgreSQL server at "db:1" rejected SSL upgrade'), "", "turn TLS on"),
        (ConnectionRefusedError(111, "refused"), "?sslrootcert=/a.pem", "PostgreSQL is running"),
        (ValueError("sslmode"), "", "mend `url`"),
    ],
)
def test_what_is_in_the_way_of_a_connection_is_named(error: OSError | ValueError, parameters: str, hint: str) -> None:
    said = NotAnsweringError(error, advice_on_connecting(error, URL + parameters)).advised
    assert "s3cret" not in said
    assert re.search(hint, said)


def test_a_certificate_that_is_missing_is_named(home: Home, tmp_path: Path, postgres: str) -> None:
    missing = tmp_path / "missing.pem"
    settings = DatabaseSettings(url=f"{postgres}?sslmode=verify-ca&sslrootcert={missing}")
    with open_ledger(home, settings) as ledger, pytest.raises(LedgerError) as caught:
        ledger.change(lambda _: None)
    assert str(missing) in caught.value.advised
