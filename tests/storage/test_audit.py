"""The audit log: no change without a row, one chain whoever writes, and what is seen of what was changed afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, Table, delete, false, insert, select, update

from tests.fixtures.databases import execute, rows
from tests.fixtures.ledger import SQLITE
from tests.storage.contents import fill
from weebill.accounts.audit import Act, Author, BrokenChainError, command_line
from weebill.accounts.keys import Keys, Owner
from weebill.accounts.scopes import ScopeChanges
from weebill.accounts.tenancy import Tenants
from weebill.accounts.tenants import Organisation, Project, ServiceAccount, User
from weebill.auto.registry import ExperimentRegistry
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.audit import AUDITED, UnauditedChangeError, check, latest, record
from weebill.storage.backups.candidates import candidate_of
from weebill.storage.backups.making import back_up
from weebill.storage.backups.restoring import restore
from weebill.storage.database import Database
from weebill.storage.experiments import experiments_in
from weebill.storage.installation import rekey
from weebill.storage.keys import keys_in
from weebill.storage.opening import open_ledger
from weebill.storage.schema import LEDGER
from weebill.storage.tables.audit import AUDIT
from weebill.storage.tenants import tenants_in

AUTHOR = Author(kind="key", id="key_1", name="boss ü", address="10.0.0.1")
NAMES = [column.name for column in AUDIT.c]
ROW = f"SELECT {', '.join(NAMES)} FROM audit_log ORDER BY id"
NO_ACT = {
    "meta", "installation", "journal_marks", "journal_ends", "quarantine", "usage_daily", "usage_entries",
    "usage_kinds", "usage_labels", "usage_label_series", "usage_label_sums", "usage_project_series",
    "usage_project_sums", "usage_ratings", "usage_ratings_waiting", "usage_series", "usage_sums",
    # Rows of double entry, which say themselves who has made them.
    "credit_transactions", "credit_entries", "credit_lots", "credit_standings", "credit_usage", "credit_rates",
    "credit_checkouts", "stripe_events", "webhook_deliveries",
    "credit_stops", "allowances", "leases", "borrowers", "provider_keys",
    # What people do when they sign in; that they have done so, or changed how they do, is logged by what does it.
    "credentials", "identities", "mails", "recovery_codes", "sessions", "tickets",
}  # fmt: skip
"""Tables that are not administered: whoever adds a table says here, or in `AUDITED`, of which sort it is."""


def actions(ledger: Database) -> list[str]:
    return [action for (action,) in rows(ledger, "SELECT action FROM audit_log ORDER BY id")]


def test_every_table_is_administered_or_not() -> None:
    assert {table.name for table in LEDGER.kept} == {table.name for table in AUDITED} | NO_ACT | {AUDIT.name}


def execute_(statement: Executable, connection: Connection) -> None:
    connection.execute(statement)


def test_no_change_goes_without_a_row(ledger: Database, home: Home) -> None:
    fill(ledger, home)
    for table in AUDITED:
        goes_not_without_a_row(ledger, table)


def goes_not_without_a_row(ledger: Database, table: Table) -> None:
    before = rows(ledger, f"SELECT count(*) FROM {table.name}")
    column = next(table.c[name] for name in ("role", "name", "days", "amount") if name in table.c)
    same = update(table).values({column: column})
    nothing = select(table).where(false())
    changes: list[Executable] = [
        same,
        delete(table).where(false()),
        insert(table).from_select([each.name for each in table.c], nothing),
    ]
    for each in changes:
        with pytest.raises(UnauditedChangeError, match=table.name):
            ledger.change(partial(execute_, each))

    def with_row(connection: Connection) -> None:
        connection.execute(same)
        record(connection, AUTHOR, Act(action="tried", target="t"))

    ledger.change(with_row)
    with pytest.raises(UnauditedChangeError):  # the row of another transaction does not count
        ledger.change(partial(execute_, same))
    assert rows(ledger, f"SELECT count(*) FROM {table.name}") == before
    assert actions(ledger)[-1] == "tried"


def test_each_act_has_a_row_with_what_it_changed(ledger: Database, home: Home) -> None:
    keys, tenants = keys_in(ledger, home, AUTHOR), tenants_in(ledger, AUTHOR)
    secrets = act_on_everything(keys, tenants, experiments_in(ledger))
    rekey(ledger, os.urandom(32))
    assert actions(ledger) == [
        "user.created", "user.created", "organization.created", "member.added", "member.added", "member.changed",
        "project.created", "service_account.created", "key.created", "key.created", "key.changed", "key.rotated",
        "key.revoked", "member.removed", "key.revoked", "project.changed", "project.archived", "project.restored",
        "service_account.changed", "service_account.disabled", "service_account.enabled", "user.disabled",
        "user.enabled", "organization.archived", "organization.restored", "experiment.created", "experiment.changed",
        "experiment.changed", "ledger.rekeyed",
    ]  # fmt: skip
    written = ledger.read(lambda connection: latest(connection, 100))
    by_action = {entry.action: entry for entry in written}
    rotated, changed = by_action["key.rotated"], by_action["key.changed"]
    assert (json.loads(changed.before), json.loads(changed.after)) == ({"models": []}, {"models": ["mini"]})
    assert json.loads(rotated.after).keys() == {"hint", "previous_until"}
    assert json.loads(by_action["member.changed"].before) == {"role": "viewer"}
    assert json.loads(by_action["project.changed"].after) == {"name": "shop"}
    of_organisation = by_action["project.created"].organisation_id
    assert of_organisation == by_action["organization.created"].target
    assert by_action["key.created"].organisation_id == of_organisation
    assert by_action["experiment.created"].organisation_id is None
    assert {entry.author_name for entry in written} == {AUTHOR.name, command_line().name}
    everything = str(rows(ledger, ROW))
    for secret in secrets:
        assert secret not in everything
    assert len(ledger.read(lambda connection: latest(connection, 100, None, of_organisation))) == 21
    assert check(ledger).rows == len(written)


def act_on_everything(keys: Keys, tenants: Tenants, experiments: ExperimentRegistry) -> list[str]:
    """Do all that can be done; returns the secrets that were made."""
    ada, bob = tenants.create_user("ada@b.example").id, tenants.create_user("bob@b.example").id
    acme = tenants.create_organisation("Acme", ada).id
    tenants.add_member(acme, bob, "viewer")
    tenants.set_role(acme, bob, "member")
    web = tenants.create_project(acme, "web").id
    ci = tenants.create_service_account(web, "ci").id
    made = keys.create("a", owner=Owner(web, None, ci))
    held = keys.create("b", owner=Owner(web, bob))
    keys.set_scopes(made.key.id, ScopeChanges(models=("mini",)))
    rotated = keys.rotate(made.key.id)
    keys.revoke(made.key.id)
    tenants.remove_member(acme, bob)
    tenants.set(Project, web, "shop")
    tenants.shut_out(Project, web)
    tenants.let_in(Project, web)
    tenants.set(ServiceAccount, ci, role="viewer")
    tenants.shut_out(ServiceAccount, ci)
    tenants.let_in(ServiceAccount, ci)
    tenants.shut_out(User, bob)
    tenants.let_in(User, bob)
    tenants.shut_out(Organisation, acme)
    tenants.let_in(Organisation, acme)
    experiments.create("e", "mini", "micro", 0.5, False)
    experiments.promote("e")
    experiments.roll_back("e")
    return [made.secret, held.secret, rotated.secret]


def test_the_chain_is_as_the_documentation_says(ledger: Database, home: Home) -> None:
    """Read with SQL, and computed without our code."""
    fill(ledger, home)
    previous = "0" * 64
    for row in rows(ledger, ROW):
        fields = dict(zip(NAMES, row, strict=True))
        own = fields.pop("hash")
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(canonical.encode()).hexdigest() == own
        assert fields["previous"] == previous
        previous = own
    assert check(ledger) == (len(rows(ledger, ROW)), previous)


@pytest.fixture
def long(ledger: Database) -> Database:
    """A ledger with ten rows."""
    for number in range(10):
        act = Act(action="tried", target=f"t{number}", organisation_id="org_1", after={"n": number})
        ledger.change(partial(record, author=AUTHOR, act=act))
    return ledger


COLUMNS = [column.name for column in AUDIT.c if column.name != "id"]


def test_a_changed_row_is_found(long: Database) -> None:
    for column in COLUMNS:
        [(was,)] = rows(long, f"SELECT {column} FROM audit_log WHERE id = 4")
        value = "at + 1" if column == "at" else "'user'" if column == "author_kind" else "'forged'"
        execute(long, f"UPDATE audit_log SET {column} = {value} WHERE id = 4")
        with pytest.raises(BrokenChainError) as caught:
            check(long)
        assert caught.value.row == 4, column
        long.change(partial(execute_, update(AUDIT).where(AUDIT.c.id == 4).values({column: was})))
        assert check(long).rows == 10


SWAPPED = (
    "UPDATE audit_log SET id = -4 WHERE id = 4",
    "UPDATE audit_log SET id = 4 WHERE id = 5",
    "UPDATE audit_log SET id = 5 WHERE id = -4",
)
BREAKS: list[tuple[tuple[str, ...], int, str]] = [
    (("DELETE FROM audit_log WHERE id = 4",), 5, "row 4 is missing"),
    (("DELETE FROM audit_log WHERE id IN (4, 5)",), 6, "rows 4 to 5 are missing"),
    (("DELETE FROM audit_log WHERE id = 1",), 2, "row 1 is missing"),
    (("DELETE FROM audit_log WHERE id > 7",), 8, "rows 8 to 10 are missing"),
    (("DELETE FROM audit_log",), 1, "rows 1 to 10 are missing"),
    (SWAPPED, 4, "row 4 was changed"),
    (("DELETE FROM audit_log WHERE id = 4", "UPDATE audit_log SET id = id - 1 WHERE id = 5"), 4, "row 4 was changed"),
    (("UPDATE meta SET value = 9 WHERE name = 'audit_rows'",), 10, "there are 10 rows, and 9 have been written"),
]


@pytest.mark.parametrize(("statements", "row", "why"), BREAKS, ids=[why for _, _, why in BREAKS[:-1]] + ["meta"])
def test_a_row_that_is_gone_or_elsewhere_is_found(
    long: Database, statements: tuple[str, ...], row: int, why: str
) -> None:
    for statement in statements:
        execute(long, statement)
    with pytest.raises(BrokenChainError, match=why) as caught:
        check(long)
    assert caught.value.row == row


def forge_from(ledger: Database, first: int) -> None:
    """Write the log anew from some row on, as somebody can who writes to the database and knows the rule."""
    previous = ""
    for row in rows(ledger, ROW):
        fields: dict[str, Any] = dict(zip(NAMES, row, strict=True))
        own = fields.pop("hash")
        if fields["id"] >= first:
            fields |= {"previous": previous, "author_name": "somebody else"}
            canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            own = hashlib.sha256(canonical.encode()).hexdigest()
            changed = f"author_name = 'somebody else', previous = '{previous}', hash = '{own}'"
            execute(ledger, f"UPDATE audit_log SET {changed} WHERE id = {fields['id']}")
        previous = own


def test_a_log_that_is_forged_to_its_end_is_found_by_a_hash_that_was_noted(long: Database) -> None:
    noted = check(long)
    forge_from(long, 6)
    assert check(long).rows == 10  # by itself, it is a chain
    with pytest.raises(BrokenChainError, match="row 10 has another hash than was noted"):
        check(long, {noted.rows: noted.head})


def test_a_tail_that_is_gone_with_its_count_is_found_by_a_hash_that_was_noted(long: Database) -> None:
    noted = check(long)
    execute(long, "DELETE FROM audit_log WHERE id > 7")
    execute(long, "UPDATE meta SET value = 7 WHERE name = 'audit_rows'")
    assert check(long).rows == 7
    with pytest.raises(BrokenChainError, match="rows 8 to 10 are missing"):
        check(long, {noted.rows: noted.head})
    long.change(lambda connection: record(connection, AUTHOR, Act(action="tried", target="t")))
    assert check(long).rows == 8  # the log goes on from what is left


def test_writers_at_once_make_one_chain(ledger: Database, home: Home, database_settings: DatabaseSettings) -> None:
    def write(worker: int) -> None:
        with open_ledger(home, database_settings) as own:
            tenants = tenants_in(own, AUTHOR)
            for number in range(8):
                tenants.create_organisation(f"{worker} {number}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    assert check(ledger).rows == 32
    assert sorted(name for (name,) in rows(ledger, "SELECT name FROM organisations")) == sorted(
        ["Default", *(f"{worker} {number}" for worker in range(4) for number in range(8))]
    )


def test_a_restored_ledger_says_what_it_was_put_in_the_place_of(ledger: Database, home: Home) -> None:
    fill(ledger, home)
    backup = home.root / "b.db"
    back_up(ledger, backup)
    in_backup = check(ledger)
    tenants_in(ledger, AUTHOR).create_organisation("later")
    replaced = check(ledger)
    with candidate_of(backup, home.database) as candidate:
        restore(ledger, candidate)
    [last] = ledger.read(lambda connection: latest(connection, 1))
    assert (last.id, last.action, last.previous) == (in_backup.rows + 1, "ledger.restored", in_backup.head)
    assert json.loads(last.before) == {"audit_hash": replaced.head, "audit_id": replaced.rows}
    assert check(ledger, {in_backup.rows: in_backup.head}).rows == in_backup.rows + 1


def test_whoever_runs_a_command_is_named(home: Home) -> None:
    with open_ledger(home, SQLITE) as ledger:
        keys_in(ledger, home).create("a")
        [entry] = ledger.read(lambda connection: latest(connection, 1))
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert (entry.author_kind, entry.author_id, entry.author_name) == ("command_line", f"uid:{os.geteuid()}", user)


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert command_line() == Author(kind="command_line", id="uid:4000000", name="")


def test_odd_text_is_kept_in_both(ledger: Database) -> None:
    author, act = Author(kind="key", id="k", name="a\0b"), Act(action="a", target="\0", after={"x": "\0é\u2028"})
    ledger.change(partial(record, author=author, act=act))
    assert check(ledger).rows == 1
