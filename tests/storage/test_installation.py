from __future__ import annotations

from pathlib import Path

import pytest

from tests.storage.contents import fill
from tests.storage.older import EARLIER, make_ledger
from weebill.accounts.pepper import ensure_pepper, read_pepper
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.installation import OtherPepperError, pepper_hash, rekey
from weebill.storage.keys import keys_in, open_keys


def with_other_pepper(home: Home) -> None:
    home.pepper.rename(home.pepper.with_name("kept"))
    ensure_pepper(home.pepper, lambda: 0)


def test_keys_are_not_used_with_the_pepper_of_another_installation(ledger: Database, home: Home) -> None:
    keys_in(ledger, home).create("mine")
    with_other_pepper(home)
    with pytest.raises(OtherPepperError, match=r"another secret\.key") as caught:
        keys_in(ledger, home)
    assert "`weebill db rekey`" in caught.value.hint
    home.pepper.with_name("kept").rename(home.pepper)
    assert [key.name for key in keys_in(ledger, home).all()] == ["mine"]


def test_a_second_machine_needs_the_pepper_of_the_first(
    ledger: Database, home: Home, database_settings: DatabaseSettings, tmp_path: Path
) -> None:
    first = keys_in(ledger, home).create("by the first")
    second = Home(tmp_path / "second")
    second.create()
    if database_settings.url is None:
        second.database.symlink_to(home.database)
    ensure_pepper(second.pepper, lambda: 0)
    with pytest.raises(OtherPepperError), open_keys(second, database_settings):
        pass
    second.pepper.write_bytes(read_pepper(home.pepper))
    with open_keys(second, database_settings) as keys:
        created = keys.create("by the second")
    assert keys_in(ledger, home).all() == [first.key, created.key]


def test_the_pepper_of_an_earlier_release_is_taken_for_right(home: Home) -> None:
    make_ledger(home.database, len(EARLIER))
    ensure_pepper(home.pepper, lambda: 0)
    with open_keys(home, DatabaseSettings()) as keys:
        assert keys.count() == 4
    with_other_pepper(home)
    with pytest.raises(OtherPepperError), open_keys(home, DatabaseSettings()):
        pass


def test_rekeying_revokes_all_keys_and_takes_the_pepper_that_is_there(ledger: Database, home: Home) -> None:
    fill(ledger, home)
    before = keys_in(ledger, home).all()
    with_other_pepper(home)
    assert rekey(ledger, read_pepper(home.pepper)) == 2
    after = keys_in(ledger, home).all()
    assert [key.id for key in after] == [key.id for key in before]
    assert all(key.revoked_at is not None for key in after)
    assert [key.revoked_at for key in after if key.name == "gone"] == [
        key.revoked_at for key in before if key.name == "gone"
    ]


def test_the_ledger_does_not_tell_the_pepper(home: Home) -> None:
    pepper = ensure_pepper(home.pepper, lambda: 0)
    assert pepper not in pepper_hash(pepper)
    assert pepper_hash(pepper) == pepper_hash(pepper) != pepper_hash(pepper[::-1])


def test_a_ledger_that_cannot_be_used_says_so_first(home: Home) -> None:
    ensure_pepper(home.pepper, lambda: 0)
    home.database.write_text("no database" * 100)
    with pytest.raises(LedgerError, match="restore a backup"), open_keys(home, DatabaseSettings()):
        pass
