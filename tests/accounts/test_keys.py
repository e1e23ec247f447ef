from __future__ import annotations

import multiprocessing
import stat
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

import pytest

from tests.fixtures.ledger import SQLITE
from weebill.accounts.pepper import read_pepper
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.storage.keys import open_keys


def test_a_key_is_random_prefixed_and_never_stored(home: Home) -> None:
    with open_keys(home, SQLITE) as keys:
        one, two = keys.create("one"), keys.create("two", "admin")
    assert one.secret.startswith("sk-wb-")
    assert len(one.secret) >= 6 + 32
    assert one.secret != two.secret
    assert (one.key.role, two.key.role) == ("user", "admin")
    kept = b"".join(path.read_bytes() for path in home.root.iterdir() if path.is_file())
    for secret in (one.secret, two.secret):
        assert secret.encode() not in kept
        assert secret[6:-4].encode() not in kept


def test_keys_are_listed_and_counted(home: Home) -> None:
    with open_keys(home, SQLITE) as keys:
        created = [keys.create(name).key for name in ("a", "b", "c")]
        assert keys.all() == created
        keys.revoke(created[1].id)
        assert keys.count() == 2
        assert [key.revoked_at is not None for key in keys.all()] == [False, True, False]


def test_revoke_by_name_wants_a_single_active_key(home: Home) -> None:
    with open_keys(home, SQLITE) as keys:
        first, second = keys.create("ci").key, keys.create("ci").key
        with pytest.raises(LedgerError, match="2 active keys are named 'ci'") as caught:
            keys.revoke("ci")
        assert first.id in str(caught.value)
        keys.revoke(first.id)
        assert keys.revoke("ci").id == second.id
        with pytest.raises(LedgerError, match="no key 'nobody'"):
            keys.revoke("nobody")


def test_revoking_again_changes_nothing(home: Home) -> None:
    with open_keys(home, SQLITE) as keys:
        key = keys.create("a").key
        assert keys.revoke("a") == keys.revoke(key.id) == keys.revoke("a")


@pytest.mark.parametrize("name", ["", " a", "a\n", "key_1", "-a", "a" * 65, "é", "a;b"])
def test_bad_names_are_refused(home: Home, name: str) -> None:
    with open_keys(home, SQLITE) as keys:
        with pytest.raises(LedgerError, match="cannot name a key"):
            keys.create(name)
        assert keys.all() == []


def test_a_bad_role_is_refused(home: Home) -> None:
    with open_keys(home, SQLITE) as keys, pytest.raises(LedgerError, match="use user or admin"):
        keys.create("a", "root")  # type: ignore[arg-type]


def make_first(home: Home, start: Barrier, told: SimpleQueue[tuple[bool, bytes]]) -> None:
    start.wait(60)
    with open_keys(home, SQLITE) as keys:
        made = keys.create_first("first") is not None
    told.put((made, read_pepper(home.pepper)))


def test_the_first_key_is_made_once_by_racing_processes(home: Home) -> None:
    context = multiprocessing.get_context("fork")
    start, told = context.Barrier(6), context.SimpleQueue()
    racers = [context.Process(target=make_first, args=(home, start, told)) for _ in range(6)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)
    assert [racer.exitcode for racer in racers] == [0] * 6
    answers = [told.get() for _ in racers]
    assert sorted(made for made, _ in answers) == [False] * 5 + [True]
    assert {pepper for _, pepper in answers} == {read_pepper(home.pepper)}
    assert [path.name for path in home.root.glob(".*")] == []


def test_a_revoked_first_key_is_not_made_again(home: Home) -> None:
    with open_keys(home, SQLITE) as keys:
        first = keys.create_first("first")
        assert first is not None
        assert first.key.role == "admin"
        keys.revoke("first")
        assert keys.create_first("first") is None


def test_the_pepper_is_private(home: Home) -> None:
    with open_keys(home, SQLITE):
        pass
    assert stat.S_IMODE(home.pepper.stat().st_mode) == 0o600


def test_a_missing_pepper_is_made_again_only_while_nothing_depends_on_it(home: Home) -> None:
    with open_keys(home, SQLITE) as keys:
        key = keys.create("a").key
        home.pepper.unlink()
        with pytest.raises(LedgerError, match="1 active API keys cannot be checked"), open_keys(home, SQLITE):
            pass
        keys.revoke(key.id)
    with open_keys(home, SQLITE):
        pass
    assert len(read_pepper(home.pepper)) == 32


def test_a_damaged_pepper_is_a_clear_error(home: Home) -> None:
    with open_keys(home, SQLITE):
        pass
    home.pepper.write_bytes(b"short")
    with pytest.raises(LedgerError, match="5 bytes instead of 32"), open_keys(home, SQLITE):
        pass
    home.pepper.unlink()
    with pytest.raises(LedgerError, match="is missing"):
        read_pepper(home.pepper)
