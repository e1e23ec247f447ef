"""The ledger knows the master key that it seals with, in both databases."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from weebill.accounts.master_keys import add_master_key
from weebill.accounts.sealing import Place, key_id_of
from weebill.config.paths import Home
from weebill.storage.database import Database
from weebill.storage.sealing import OtherMasterKeyError, Vault, sealing_key_id

PLACE = Place("provider_keys", "secret", "pkey_1")


def sealed_by(ledger: Database, vault: Vault, plain: bytes = b"plain") -> bytes:
    return ledger.change(lambda connection: vault.seal(connection, PLACE, plain))


def test_the_first_value_makes_the_key(ledger: Database, home: Home) -> None:
    assert ledger.read(sealing_key_id) is None
    sealed = sealed_by(ledger, Vault(home))
    assert home.master_key.exists()
    assert ledger.read(sealing_key_id) == key_id_of(sealed)
    assert Vault(home).open(PLACE, sealed) == b"plain"


def test_another_machine_seals_nothing_without_the_key(ledger: Database, home: Home, tmp_path: Path) -> None:
    sealed = sealed_by(ledger, Vault(home))
    (tmp_path / "other").mkdir()
    other = Home(tmp_path / "other")
    with pytest.raises(OtherMasterKeyError) as refused:
        sealed_by(ledger, Vault(other))
    assert "--abandon" in refused.value.hint
    shutil.copy(home.master_key, other.master_key)
    assert Vault(other).open(PLACE, sealed) == b"plain"
    assert sealed_by(ledger, Vault(other))


def test_a_key_that_is_added_meanwhile_is_found(ledger: Database, home: Home) -> None:
    vault = Vault(home)
    earlier = sealed_by(ledger, vault)
    assert vault.open(PLACE, earlier) == b"plain"
    add_master_key(home.master_key)
    assert key_id_of(sealed_by(ledger, vault)) == key_id_of(earlier)  # the ledger says which, not the file
    assert vault.open(PLACE, earlier) == b"plain"
