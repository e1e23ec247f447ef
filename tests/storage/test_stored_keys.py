"""API keys in both databases: scopes, rotation, what followers are told, and use so far."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from msgspec import structs
from sqlalchemy import Connection, Table, select, update

from tests.fixtures.databases import execute
from tests.fixtures.records import RECORD, write
from tests.storage.contents import add_tenants
from weebill.accounts.api_key import ApiKey, FoundKey, KeyUse
from weebill.accounts.errors import BadKeyError, RevokedKeyError, UnknownKeyError
from weebill.accounts.keys import MOST_OVERLAP_S, Keys, KeyTable
from weebill.accounts.pepper import digest_of, read_pepper
from weebill.accounts.scopes import ScopeChanges
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.routing import MaxPrice, Preferences
from weebill.process.questions import Position
from weebill.storage.audit import EXEMPT
from weebill.storage.database import Database
from weebill.storage.key_use import note_uses
from weebill.storage.keys import changed_since, find_active, keys_in
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS, SERVICE_ACCOUNTS, USERS
from weebill.storage.usage import StoredUsage
from weebill.storage.versions import KEYS_VERSION, positions, raise_version
from weebill.usage.ingest import Ingester
from weebill.usage.records import UsageRecord

SCOPES = ScopeChanges(
    expires_at=4_000_000_000,
    networks=("10.0.0.0/8", "2001:db8::/32"),
    models=("mini", "gpt-*"),
    endpoints=("chat.completions",),
    local_only=True,
    preferences=Preferences(sort="price", max_price=MaxPrice(prompt=1.5), order=("acme", "ü")),
)


@pytest.fixture
def keys(ledger: Database, home: Home) -> Keys:
    return keys_in(ledger, home)


Find = Callable[[str], FoundKey | None]


@pytest.fixture
def found(ledger: Database, keys: Keys, home: Home) -> Find:
    """Finds the key of a secret."""
    pepper = read_pepper(home.pepper)

    def find(secret: str) -> FoundKey | None:
        digest = digest_of(secret.encode(), pepper)
        assert digest is not None
        return find_active(ledger, digest)

    return find


def at(ledger: Database) -> Position:
    return ledger.read(lambda connection: positions(ledger, connection)[KEYS_VERSION])


def test_scopes_are_kept_and_found(ledger: Database, keys: Keys, found: Find) -> None:
    created = keys.create("a", scopes=SCOPES)
    assert {name: getattr(created.key, name) for name in SCOPES.fields} == structs.asdict(SCOPES)
    assert found(created.secret) == FoundKey(created.key)
    assert keys.all() == [created.key]
    plain = keys.create("b")
    before = at(ledger).version
    changed = keys.set_scopes("b", ScopeChanges(models=("mini",)))
    assert changed == structs.replace(plain.key, models=("mini",))
    assert found(plain.secret) == FoundKey(changed)
    changes = ledger.read(lambda connection: changed_since(connection, before))
    assert list(changes) == [plain.key.id]
    assert keys.set_scopes(plain.key.id, ScopeChanges(models=())) == plain.key


def test_of_two_who_change_a_key_at_once_each_sets_its_own_fields(keys: Keys) -> None:
    key = keys.create("a").key

    def change(table: KeyTable) -> None:
        # Both have read the key as it was.
        table.set_scopes(structs.replace(key, models=("mini",)), ["models"])
        table.set_scopes(structs.replace(key, local_only=True), ["local_only"])

    keys._book.change(change)
    assert keys.all() == [structs.replace(key, models=("mini",), local_only=True)]


def test_bad_scopes_change_nothing(keys: Keys) -> None:
    created = keys.create("a")
    with pytest.raises(BadKeyError):
        keys.set_scopes("a", ScopeChanges(models=("mini",), networks=("nowhere",)))
    with pytest.raises(BadKeyError):
        keys.create("b", scopes=ScopeChanges(endpoints=("none",)))
    assert keys.all() == [created.key]


def test_a_rotated_key_has_two_secrets_until_the_overlap_ends(ledger: Database, keys: Keys, found: Find) -> None:
    first = keys.create("a", scopes=SCOPES)
    before = at(ledger).version
    second = keys.rotate("a", 3600)
    assert second.secret != first.secret
    assert second.key.hint.endswith(second.secret[-4:])
    until = second.key.previous_until
    assert until is not None
    assert abs(until - time.time() - 3600) < 60
    assert structs.replace(second.key, hint=first.key.hint, previous_until=None) == first.key
    assert found(second.secret) == FoundKey(second.key)
    assert found(first.secret) == FoundKey(second.key, until)
    changes = ledger.read(lambda connection: changed_since(connection, before))
    assert len(changes[first.key.id]) == 2

    third = keys.rotate(first.key.id, 3600)
    assert found(first.secret) is None  # the oldest one has ended at once
    assert found(second.secret) == FoundKey(third.key, third.key.previous_until)
    fourth = keys.rotate("a", 0)
    assert (found(second.secret), found(third.secret)) == (None, None)
    assert found(fourth.secret) == FoundKey(fourth.key)
    assert fourth.key.previous_until is None
    keys.rotate("a")
    keys.revoke("a")
    assert found(fourth.secret) is None


@pytest.mark.parametrize("overlap_s", [-1, MOST_OVERLAP_S + 1])
def test_an_overlap_is_bounded(keys: Keys, overlap_s: int) -> None:
    keys.create("a")
    with pytest.raises(BadKeyError) as caught:
        keys.rotate("a", overlap_s)
    assert caught.value.param == "overlap_s"


def test_a_revoked_key_is_not_changed_any_more(keys: Keys) -> None:
    revoked = keys.revoke(keys.create("a").key.id)
    with pytest.raises(RevokedKeyError):
        keys.rotate(revoked.id)
    with pytest.raises(RevokedKeyError):
        keys.set_scopes("a", ScopeChanges(local_only=True))
    for name in ("nobody", "key_0"):
        with pytest.raises(UnknownKeyError):
            keys.rotate(name)
    assert keys.all() == [revoked]


def test_preferences_of_another_release_are_no_limits_that_are_lost(ledger: Database, keys: Keys) -> None:
    created = keys.create("a")
    of_tomorrow = update(API_KEYS).values(preferences='{"of_tomorrow":1}').execution_options(**EXEMPT)
    ledger.change(lambda connection: connection.execute(of_tomorrow))
    with pytest.raises(LedgerError, match=f"cannot read what the key {created.key.id} is limited to"):
        keys.all()


def ingest(ledger: Database, home: Home, *records: UsageRecord) -> None:
    write(home, records)
    Ingester(StoredUsage(ledger), home.journal).run()


def test_use_is_noted_by_ingestion_and_no_follower_is_told(ledger: Database, keys: Keys, home: Home) -> None:
    used, other = keys.create("used").key, keys.create("other").key
    version = at(ledger)
    assert keys.find("used") == (used, KeyUse())
    record = structs.replace(RECORD, key_id=used.id, cost_nano=7, outcome="ok")
    day_later = structs.replace(record, started_at=RECORD.started_at + 86_400_000_000, cost_nano=None)
    ingest(ledger, home, record, day_later, structs.replace(record, outcome="timeout"))
    seconds = day_later.started_at // 1_000_000
    _, use = keys.find("used")
    assert (use.last_used_at, use.requests, use.failures, use.cost_nano, use.unpriced) == (seconds, 3, 1, 14, 1)
    assert use.prompt_tokens == 3 * RECORD.prompt_tokens
    assert keys.used() == [(used, use), (other, KeyUse())]

    ingest(ledger, home, record)  # an older one, which came late
    assert keys.find(used.id)[1].last_used_at == seconds
    assert at(ledger) == version


def test_no_use_is_noted_of_the_future_or_of_what_is_no_key(ledger: Database, keys: Keys) -> None:
    key = keys.create("a").key
    ledger.change(lambda connection: note_uses(connection, {key.id: 2**53, "experiment:faster": 1_000_000}))
    last = keys.find("a")[1].last_used_at
    assert last is not None
    assert last <= time.time()
    assert ledger.read(lambda connection: list(connection.scalars(select(API_KEYS.c.id)))) == [key.id]


def since(ledger: Database, version: int, most: int | None = None) -> dict[str, list[bytes]]:
    return ledger.read(lambda connection: changed_since(connection, version, most))


def place(ledger: Database, key: ApiKey, **values: str) -> None:
    """Put a key into another project, or give it a holder."""
    placed = update(API_KEYS).where(API_KEYS.c.id == key.id).values(values).execution_options(**EXEMPT)
    ledger.change(lambda connection: connection.execute(placed))


def test_a_key_is_found_with_its_project_holder_and_organisation(ledger: Database, keys: Keys, found: Find) -> None:
    plain, placed = keys.create("plain"), keys.create("placed")
    assert found(plain.secret) == FoundKey(plain.key, None, "org_default")
    assert (plain.key.project_id, plain.key.user_id, plain.key.service_account_id) == ("proj_default", None, None)
    ledger.change(add_tenants)
    place(ledger, placed.key, project_id="proj_1", service_account_id="svc_1")
    execute(ledger, "UPDATE service_accounts SET disabled_at = NULL")
    expected = structs.replace(placed.key, project_id="proj_1", service_account_id="svc_1")
    assert found(placed.secret) == FoundKey(expected, None, "org_1")
    with pytest.raises(Exception, match=r"CHECK|violates check"):
        place(ledger, placed.key, user_id="user_1")


SHUT: list[tuple[Table, str, dict[str, str]]] = [
    (ORGANISATIONS, "archived_at", {}),
    (PROJECTS, "archived_at", {}),
    (USERS, "disabled_at", {"user_id": "user_1"}),
    (SERVICE_ACCOUNTS, "disabled_at", {"service_account_id": "svc_1"}),
]


@pytest.mark.parametrize(("table", "column", "holder"), SHUT, ids=[each[0].name for each in SHUT])
def test_keys_are_shut_out_with_what_they_belong_to(
    ledger: Database, keys: Keys, found: Find, table: Table, column: str, holder: dict[str, str]
) -> None:
    """And let in again; followers are told of them, and of no others."""
    created, other = keys.create("a"), keys.create("b")
    rotated = keys.rotate("a")
    ledger.change(add_tenants)
    for name in ("users", "service_accounts"):
        execute(ledger, f"UPDATE {name} SET disabled_at = NULL")
    place(ledger, created.key, project_id="proj_1", **holder)

    def set_(at: int | None) -> int:
        def change(connection: Connection) -> int:
            version = raise_version(connection, KEYS_VERSION)
            row = update(table).where(table.c.id.not_like("%default")).execution_options(**EXEMPT)
            connection.execute(row.values({column: at, "changed_in": version}))
            return version

        return ledger.change(change)

    for at_, is_found in ((7, False), (None, True)):
        version = set_(at_)
        for secret in (created.secret, rotated.secret):
            assert (found(secret) is not None) == is_found
        assert found(other.secret) is not None
        changes = since(ledger, version - 1)
        assert {id_: len(digests) for id_, digests in changes.items()} == {created.key.id: 2}
        assert since(ledger, version) == {}


def test_of_changed_keys_no_more_are_read_than_are_told(ledger: Database, keys: Keys) -> None:
    for number in range(5):
        keys.create(f"key {number}")
    assert len(since(ledger, 0, 3)) == 3
