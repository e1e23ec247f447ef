"""Providers' keys in both databases: sealed, listed, rotated, backed up, and told to those who use them."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.fixtures.databases import execute
from tests.storage.contents import add_tenants
from weebill.accounts.master_keys import read_master_keys
from weebill.accounts.provider_keys import (
    ID_PREFIX,
    MOST_OF_ONE,
    BadProviderKeyError,
    KeyNews,
    ProviderKey,
    UnknownProviderKeyError,
    new_key,
)
from weebill.accounts.sealing import SealedError
from weebill.cli.db import lost_in
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage import sealing_rotation
from weebill.storage.backups.candidates import candidate_of
from weebill.storage.backups.making import back_up
from weebill.storage.backups.restoring import restore
from weebill.storage.database import Database
from weebill.storage.keys import keys_in
from weebill.storage.opening import open_ledger
from weebill.storage.provider_keys import ProviderKeys
from weebill.storage.sealing import OtherMasterKeyError, Vault, sealing_key_id
from weebill.storage.sealing_rotation import prepare, rotate
from weebill.storage.tables.provider_keys import PROVIDER_KEYS

SECRET = "sk-a-very-secret-key-of-a-provider"
NOW = 1_800_000_000.0


@pytest.fixture
def keys(ledger: Database, home: Home) -> ProviderKeys:
    keys_in(ledger, home).create("gone")
    ledger.change(add_tenants)
    return ProviderKeys(ledger, Vault(home))


def given(
    keys: ProviderKeys, secret: str = SECRET, project: str | None = None, provider: str = "openai"
) -> ProviderKey:
    return keys.add(new_key(provider, project, secret, "a test", NOW), secret)


def in_use(ledger: Database, keys: ProviderKeys) -> list[tuple[str | None, str]]:
    kept = sorted(ledger.read(keys.in_use), key=lambda each: each.secret)
    return [(each.project_id, each.secret) for each in kept]


def test_a_key_is_kept_sealed_and_listed_without_its_secret(ledger: Database, keys: ProviderKeys) -> None:
    kept = given(keys)
    assert keys.all() == keys.all("openai") == [kept]
    assert keys.all("groq") == []
    assert kept.hint == f"...{SECRET[-4:]}"
    assert SECRET not in repr(kept)
    [sealed] = ledger.read(lambda connection: connection.execute(select(PROVIDER_KEYS.c.secret)).scalars().all())
    assert SECRET.encode() not in sealed
    assert keys.secret(kept.id) == SECRET
    assert SECRET not in repr(ledger.read(keys.in_use))


def test_a_row_under_another_id_is_refused(ledger: Database, keys: ProviderKeys) -> None:
    kept = given(keys)
    ledger.change(lambda connection: connection.execute(update(PROVIDER_KEYS).values(id=f"{ID_PREFIX}other")) and None)
    with pytest.raises(SealedError):
        keys.secret(f"{ID_PREFIX}other")
    with pytest.raises(UnknownProviderKeyError):
        keys.secret(kept.id)


def test_keys_are_in_use_until_they_or_their_project_are_not(ledger: Database, keys: ProviderKeys) -> None:
    whole, own = given(keys, SECRET + "-1"), given(keys, SECRET + "-2", "proj_1")
    assert in_use(ledger, keys) == [(None, SECRET + "-1"), ("proj_1", SECRET + "-2")]
    assert keys.set_disabled(whole.id, True).status == "disabled"
    assert in_use(ledger, keys) == [("proj_1", SECRET + "-2")]
    assert keys.set_disabled(whole.id, False).status == "active"
    execute(ledger, "UPDATE projects SET archived_at = 1 WHERE id = 'proj_1'")
    assert in_use(ledger, keys) == [(None, SECRET + "-1")]
    execute(ledger, "UPDATE projects SET archived_at = NULL WHERE id = 'proj_1'")
    assert keys.remove(own.id).id == own.id
    assert in_use(ledger, keys) == [(None, SECRET + "-1")]
    with pytest.raises(UnknownProviderKeyError):
        keys.remove(own.id)


def test_what_workers_report_is_noted(keys: ProviderKeys) -> None:
    kept = given(keys)
    keys.note(KeyNews({kept.id: 20, "pkey_gone": 5}, {kept.id: "refused by the provider" + "!" * 1000}))
    keys.note(KeyNews({kept.id: 10}))  # of another worker, later in coming
    found = keys.find(kept.id)
    assert (found.last_used_at, found.status, len(found.refusal)) == (20, "refused", 300)
    keys.note(KeyNews(accepted=(kept.id,)))
    assert keys.find(kept.id).status == "active"


def test_the_number_of_keys_is_bounded(keys: ProviderKeys) -> None:
    for number in range(MOST_OF_ONE):
        given(keys, f"{SECRET}{number}")
    with pytest.raises(BadProviderKeyError):
        given(keys)
    given(keys, project="proj_1")
    with pytest.raises(BadProviderKeyError, match="proj_none"):
        given(keys, project="proj_none")


def test_of_keys_that_are_given_at_once_no_more_are_kept_than_may_be(keys: ProviderKeys) -> None:
    for number in range(MOST_OF_ONE - 2):
        given(keys, f"{SECRET}{number}")
    begin = threading.Barrier(6)

    def give(number: int) -> bool:
        begin.wait(30)
        try:
            given(keys, f"{SECRET}-{number}")
        except BadProviderKeyError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(give, range(6))) == 2
    assert len(keys.all()) == MOST_OF_ONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "with a space",
        "env:OPENAI_API_KEY",
        "file:/etc/passwd",
        "/etc/google.json",
        "k\r\nx: y-long",
        "é" * 20,
    ],
)
def test_what_is_no_key_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(BadProviderKeyError) as refused:
        new_key("openai", None, text, "a test", NOW)
    assert not text or text not in str(refused.value)


def test_rotation_seals_everything_anew(ledger: Database, keys: ProviderKeys, home: Home) -> None:
    secrets = {given(keys, f"{SECRET}{number}", provider=f"p{number}").id: f"{SECRET}{number}" for number in range(5)}
    old = read_master_keys(home.master_key, {})
    done = rotate(ledger, home)
    assert (done.sealed, done.lost, done.resumed) == (5, 0, False)
    assert [key.id for key in read_master_keys(home.master_key, {})] == [done.key_id] != [key.id for key in old]
    assert {key_id: keys.secret(key_id) for key_id in secrets} == secrets  # by the vault of before
    assert ledger.read(sealing_key_id) == done.key_id


def test_a_rotation_that_was_interrupted_goes_on(
    ledger: Database, keys: ProviderKeys, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {given(keys, f"{SECRET}{number}", provider=f"p{number}").id: f"{SECRET}{number}" for number in range(7)}
    monkeypatch.setattr(sealing_rotation, "BATCH", 2)
    real, count = sealing_rotation.seal, 0

    def dying(*arguments: object) -> bytes:
        nonlocal count
        count += 1
        if count > 5:  # in the middle of the third batch
            raise RuntimeError("killed")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sealing_rotation, "seal", dying)
    with pytest.raises(RuntimeError, match="killed"):
        rotate(ledger, home)
    assert {key_id: keys.secret(key_id) for key_id in secrets} == secrets
    new = given(keys, SECRET)
    monkeypatch.setattr(sealing_rotation, "seal", real)
    done = rotate(ledger, home)
    assert (done.resumed, done.sealed) == (True, 3)  # four were kept, and the new one is sealed with the new key
    assert len(read_master_keys(home.master_key, {})) == 1
    assert {key_id: keys.secret(key_id) for key_id in (*secrets, new.id)} == {**secrets, new.id: SECRET}


def test_a_prepared_key_is_used_by_the_next_rotation(ledger: Database, keys: ProviderKeys, home: Home) -> None:
    kept = given(keys)
    prepared = prepare(home)
    assert ledger.read(sealing_key_id) != prepared
    assert rotate(ledger, home).key_id == prepared
    assert keys.secret(kept.id) == SECRET


def test_a_lost_key_is_given_up_only_if_that_is_said(ledger: Database, keys: ProviderKeys, home: Home) -> None:
    kept = given(keys)
    home.master_key.unlink()
    with pytest.raises(OtherMasterKeyError):
        given(ProviderKeys(ledger, Vault(home)))
    with pytest.raises(OtherMasterKeyError):
        rotate(ledger, home)
    done = rotate(ledger, home, abandon=True)
    assert (done.sealed, done.lost) == (0, 1)
    anew = given(ProviderKeys(ledger, Vault(home)), provider="groq")
    assert [secret for _, secret in in_use(ledger, ProviderKeys(ledger, Vault(home)))] == [SECRET]
    assert {each.id for each in keys.all()} == {kept.id, anew.id}


def test_a_backup_has_it_sealed_and_a_restore_says_what_is_lost(
    ledger: Database, keys: ProviderKeys, home: Home, tmp_path: Path
) -> None:
    given(keys)
    file = tmp_path / "backup.db"
    back_up(ledger, file)
    assert SECRET.encode() not in file.read_bytes()
    for with_key, expected in ((False, ["1 provider keys cannot be opened"]), (True, [])):
        other = Home(tmp_path / f"other-{with_key}")
        other.create()
        if with_key:
            other.master_key.write_bytes(home.master_key.read_bytes())
        with open_ledger(other, DatabaseSettings()) as target:
            target.change(lambda _: None)
            with candidate_of(file, other.database) as candidate:
                restore(target, candidate)
        assert [sentence.partition(":")[0] for sentence in lost_in(other, DatabaseSettings())] == expected


def test_no_file_of_the_database_has_the_secret(home: Home) -> None:
    with open_ledger(home, DatabaseSettings()) as ledger:
        ledger.change(lambda _: None)
        keys = ProviderKeys(ledger, Vault(home))
        for number in range(8):
            given(keys, SECRET + str(number))
            keys.remove(keys.all()[0].id) if number % 2 else None
        rotate(ledger, home)
        found = [path for path in home.root.rglob("*") if path.is_file()]
        assert {path.suffix for path in found} >= {".db", ".db-wal", ".key"}
        assert [path for path in found if b"a-very-secret-key" in path.read_bytes()] == []


def rotate_step_by_step(home: Home, link: Connection) -> None:
    """Rotate, in a process of its own, and wait for an answer before each secret."""
    seal = sealing_rotation.seal

    def step(*given: Any) -> bytes:
        link.send(None)
        link.recv()
        return seal(*given)

    patch = pytest.MonkeyPatch()
    patch.setattr(sealing_rotation, "BATCH", 5)
    patch.setattr(sealing_rotation, "seal", step)
    with open_ledger(home, DatabaseSettings()) as ledger:
        rotate(ledger, home)


def test_kill_9_during_a_rotation_loses_nothing(home: Home) -> None:
    with open_ledger(home, DatabaseSettings()) as ledger:
        ledger.change(lambda _: None)
        keys = ProviderKeys(ledger, Vault(home))
        secrets = {given(keys, f"{SECRET}{n}", provider=f"p{n}").id: f"{SECRET}{n}" for n in range(60)}
    context = multiprocessing.get_context("fork")
    for killed_after in (1, 17, None):
        link, theirs = context.Pipe()
        process = context.Process(target=rotate_step_by_step, args=(home, theirs))
        process.start()
        theirs.close()
        with suppress(EOFError):
            for _ in count() if killed_after is None else range(killed_after):
                link.recv()
                link.send(None)
        if killed_after is not None:
            process.kill()
        process.join(60)
        assert process.exitcode == (0 if killed_after is None else -signal.SIGKILL)
        with open_ledger(home, DatabaseSettings()) as ledger:
            keys = ProviderKeys(ledger, Vault(home))
            assert {key_id: keys.secret(key_id) for key_id in secrets} == secrets
    assert len(read_master_keys(home.master_key, {})) == 1
