from __future__ import annotations

import logging
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from weebill.accounts import keyring
from weebill.accounts.keyring import KeyRing, LedgerUnavailable
from weebill.accounts.keys import Keys
from weebill.accounts.pepper import read_pepper
from weebill.config.paths import Home
from weebill.storage.database import open_ledger
from weebill.storage.keys import open_keys

# Refreshes as a worker does, and says when the key's standing changes.
WATCHER = """
import sys, time
from pathlib import Path
from weebill.config.paths import Home
from weebill.accounts.keyring import KeyRing
from weebill.accounts.pepper import read_pepper
home = Home(Path(sys.argv[1]))
token = sys.stdin.readline().strip().encode()
ring = KeyRing(home.database, read_pepper(home.pepper))
standing = None
while True:
    now = ring.authenticate(token) is not None
    if now is not standing:
        standing = now
        print("valid" if now else "refused", flush=True)
    time.sleep(0.25)
    ring.refresh()
"""


@pytest.fixture
def keys(home: Home) -> Iterator[Keys]:
    with open_keys(home) as keys:
        yield keys


@pytest.fixture
def ring(home: Home, keys: Keys) -> Iterator[KeyRing]:
    with closing(KeyRing(home.database, read_pepper(home.pepper))) as ring:
        yield ring


def test_a_key_is_known_at_once_and_described(keys: Keys, ring: KeyRing) -> None:
    key, secret, _ = keys.create("a", "admin")
    for _ in range(2):  # from the ledger, then from memory
        assert ring.authenticate(secret.encode()) == key


@pytest.mark.parametrize(
    "token", [b"", b"sk-wb-", b"sk-wb-" + b"x" * 43, b"sk-other", b"sk-wb-" + b"x" * 10_000, b"\xff"]
)
def test_other_tokens_are_refused(keys: Keys, ring: KeyRing, token: bytes) -> None:
    keys.create("a")
    for _ in range(2):
        assert ring.authenticate(token) is None


def test_a_key_of_another_installation_is_refused(home: Home, keys: Keys) -> None:
    _, secret, _ = keys.create("a")
    with closing(KeyRing(home.database, secrets.token_bytes(32))) as ring:
        assert ring.authenticate(secret.encode()) is None


def test_revocation_reaches_another_process_within_a_second(home: Home, keys: Keys) -> None:
    key, secret, _ = keys.create("a")
    with subprocess.Popen(
        [sys.executable, "-c", WATCHER, home.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as watcher:
        assert watcher.stdin is not None
        assert watcher.stdout is not None
        watcher.stdin.write(secret + "\n")
        watcher.stdin.flush()
        assert watcher.stdout.readline() == "valid\n"
        keys.revoke(key.id)
        revoked_at = time.monotonic()
        assert watcher.stdout.readline() == "refused\n"
        elapsed = time.monotonic() - revoked_at
        watcher.kill()
    assert elapsed < 1.0


def test_memory_is_bounded_under_a_flood(monkeypatch: pytest.MonkeyPatch, keys: Keys, ring: KeyRing) -> None:
    monkeypatch.setattr(keyring, "CAPACITY", 50)
    _, secret, _ = keys.create("a")
    for _ in range(500):
        assert ring.authenticate(b"sk-wb-" + secrets.token_bytes(32)) is None
    assert len(ring._refused) == 50
    assert ring.authenticate(secret.encode()) is not None
    for _ in range(60):
        assert ring.authenticate(keys.create("b").secret.encode()) is not None
    assert len(ring._known) == 50


def test_known_keys_outlive_the_ledger_for_a_while(
    home: Home, keys: Keys, ring: KeyRing, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    key, secret, _ = keys.create("a")
    _, unseen, _ = keys.create("b")
    assert ring.authenticate(secret.encode()) == key
    keys._table.close()
    hidden = home.root / "hidden"
    hidden.mkdir()
    for path in home.root.glob("weebill.db*"):
        path.rename(hidden / path.name)

    for _ in range(5):
        ring.refresh()
        assert ring.authenticate(secret.encode()) == key
        with pytest.raises(LedgerUnavailable):
            ring.authenticate(unseen.encode())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert secret not in caplog.text

    for path in hidden.iterdir():
        path.rename(home.root / path.name)
    ring.refresh()
    assert ring.authenticate(unseen.encode()) is not None
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    monkeypatch.setattr(keyring, "GRACE_S", -1.0)
    home.database.rename(hidden / "weebill.db")
    ring.refresh()
    with pytest.raises(LedgerUnavailable):
        ring.authenticate(secret.encode())


def test_a_locked_ledger_is_unavailable_not_a_refusal(home: Home, keys: Keys, ring: KeyRing) -> None:
    _, known, _ = keys.create("a")
    _, unseen, _ = keys.create("b")
    assert ring.authenticate(known.encode()) is not None
    ring.close()
    keys._table.close()
    locker = open_ledger(home.database)
    locker.execute("PRAGMA locking_mode = EXCLUSIVE")
    locker.execute("BEGIN EXCLUSIVE")
    ring.refresh()
    assert ring.authenticate(known.encode()) is not None
    with pytest.raises(LedgerUnavailable):
        ring.authenticate(unseen.encode())
    locker.execute("ROLLBACK")
    locker.close()
    ring.refresh()
    assert ring.authenticate(unseen.encode()) is not None


def test_a_replaced_ledger_is_believed(home: Home, keys: Keys, ring: KeyRing) -> None:
    _, secret, _ = keys.create("a")
    backup = home.root / "backup"
    with closing(open_ledger(home.database)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    _, since, _ = keys.create("b")
    assert ring.authenticate(since.encode()) is not None
    keys._table.close()
    for path in home.root.glob("weebill.db*"):
        path.unlink()
    backup.rename(home.database)
    ring.refresh()
    assert ring.authenticate(secret.encode()) is not None
    assert ring.authenticate(since.encode()) is None


def test_a_ring_may_be_made_before_the_ledger(home: Home) -> None:
    with closing(KeyRing(home.database, b"x" * 32)) as ring:
        with pytest.raises(LedgerUnavailable):
            ring.authenticate(b"sk-wb-" + b"a" * 43)
        open_ledger(home.database).close()
        ring.refresh()
        assert ring.authenticate(b"sk-wb-" + b"a" * 43) is None


def test_a_reader_needs_no_living_writer(home: Home) -> None:
    with open_keys(home) as keys:
        _, secret, _ = keys.create("a")
    assert not home.database.with_name("weebill.db-wal").exists()
    with closing(KeyRing(home.database, read_pepper(home.pepper))) as ring:
        assert ring.authenticate(secret.encode()) is not None
