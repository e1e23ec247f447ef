"""What a ledger may hold, and all that it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection, insert, select, update

from tests.fixtures.records import RECORD, write
from weebill.accounts.provider_keys import new_key
from weebill.billing.credits import Origin
from weebill.billing.rates import Rate
from weebill.billing.webhooks import Alert
from weebill.config.paths import Home
from weebill.storage.audit import EXEMPT
from weebill.storage.credit_alerts import set_alert
from weebill.storage.credit_stops import set_stop
from weebill.storage.credits import credits_in
from weebill.storage.database import Database
from weebill.storage.experiments import experiments_in
from weebill.storage.keys import keys_in
from weebill.storage.provider_keys import ProviderKeys
from weebill.storage.rates import add_rate
from weebill.storage.schema import LEDGER
from weebill.storage.sealing import MAIL, TOTP, Vault
from weebill.storage.tables.audit import AUDIT
from weebill.storage.tables.credits import CREDIT_CHECKOUTS, STRIPE_EVENTS
from weebill.storage.tables.ledger import API_KEYS, INSTALLATION, META, USAGE
from weebill.storage.tables.sign_in import CREDENTIALS, IDENTITIES, MAILS, RECOVERY_CODES, SESSIONS, TICKETS
from weebill.storage.tables.tenants import MEMBERSHIPS, ORGANISATIONS, PROJECTS, SERVICE_ACCOUNTS, USERS
from weebill.storage.usage import StoredUsage
from weebill.storage.versions import AUDIT_ROWS
from weebill.usage.ingest import Ingester
from weebill.usage.journal import SEGMENT_SUFFIX

Rows = Mapping[str, Counter[tuple[object, ...]]]


UNLIKE = {
    AUDIT.name: [AUDIT.c.action.not_in(("ledger.restored", "ledger.upgraded"))],
    META.name: [META.c.name != AUDIT_ROWS],
}


def fill(ledger: Database, home: Home) -> None:
    """Puts something into every table: keys, of which one is revoked, experiments, records of all sorts, quarantine."""
    keys = keys_in(ledger, home)
    keys.create_first("first", "admin")
    keys.create("ci @home")
    keys.revoke(keys.create("gone").key.id)
    ledger.change(add_tenants)
    add_credits(ledger)
    given = new_key("openai", "proj_1", "sk-of-a-provider", "ci", 1)
    ProviderKeys(ledger, Vault(home)).add(given, "sk-of-a-provider")
    ledger.change(lambda connection: add_sign_in(connection, Vault(home)))
    experiments = experiments_in(ledger)
    experiments.create("faster", "mini", "micro", 0.25, False)
    experiments.promote("faster")
    experiments.create("shadowed", "large", "larger", 1.0, True)
    write(
        home,
        [
            RECORD,
            msgspec.structs.replace(RECORD, request_id="req_unpriced", cost_nano=None, started_at=1),
            msgspec.structs.replace(RECORD, request_id="req_名", model_asked="名" * 300, outcome="rejected"),
            msgspec.structs.replace(RECORD, request_id="req_arm", arm="faster/candidate", checked="passed"),
            msgspec.structs.replace(RECORD, request_id="req_much", prompt_tokens=2**60, cost_nano=2**62),
            *(msgspec.structs.replace(RECORD, request_id=f"req_{number}", status=number) for number in range(300)),
        ],
    )
    segment = next(home.journal.glob(f"*{SEGMENT_SUFFIX}"))
    segment.write_bytes(segment.read_bytes() + b"no record \x00\xff"[:9] + b"\n")
    Ingester(StoredUsage(ledger), home.journal).run()


def add_tenants(connection: Connection) -> None:
    """Put rows into the tables of tenants, as nobody's act."""
    made = {"name": "名", "created_at": 1, "changed_in": 1}
    for table, row in (
        (ORGANISATIONS, {"id": "org_1", **made}),
        (PROJECTS, {"id": "proj_1", "organisation_id": "org_1", **made}),
        (USERS, {"id": "user_1", "email": "a@b.example", "disabled_at": 2, **made}),
        (MEMBERSHIPS, {"organisation_id": "org_1", "user_id": "user_1", "role": "owner", "created_at": 1}),
        (SERVICE_ACCOUNTS, {"id": "svc_1", "project_id": "proj_1", "disabled_at": 2, "role": "member", **made}),
    ):
        connection.execute(insert(table).values(row).execution_options(**EXEMPT))
    of_user = update(API_KEYS).where(API_KEYS.c.name == "gone").values(project_id="proj_1", user_id="user_1")
    connection.execute(of_user.execution_options(**EXEMPT))


def add_sign_in(connection: Connection, vault: Vault) -> None:
    """Put rows into the tables of signing in."""
    ends = {"created_at": 1, "ends_at": 2**40}
    session = {"means": "link", "seen_at": 1, "address": "", "agent": "名", **ends}
    ticket = {"purpose": "invitation", "email": "a@b.example", "organisation_id": "org_1", "role": "viewer", **ends}
    totp = vault.seal(connection, TOTP.place("user_1"), b"JBSWY3DP")
    mail = vault.seal(connection, MAIL.place("mail_1"), b"{}")
    for table, row in (
        (CREDENTIALS, {"user_id": "user_1", "password": "$argon2id$", "totp": totp, "totp_step": 2**40}),
        (RECOVERY_CODES, {"user_id": "user_1", "digest": b"r" * 32}),
        (IDENTITIES, {"issuer": "https://id.example", "subject": "名", "user_id": "user_1", "created_at": 1}),
        (SESSIONS, {"id": "sess_1", "digest": b"s" * 32, "user_id": "user_1", **session}),
        (TICKETS, {"digest": b"\0" * 32, **ticket}),
        (MAILS, {"id": "mail_1", "sealed": mail, "created_at": 1, "due_at": 1, "attempts": 0}),
    ):
        connection.execute(insert(table).values(row))


def add_credits(ledger: Database) -> None:
    books = credits_in(ledger)
    books.grant("org_1", 10**9, Origin("grant:1", "ci", "名"), 4_000_000_000)
    books.adjust("org_1", -(2 * 10**9), Origin("adjustment:1"))

    def fill_rest(connection: Connection) -> None:
        set_alert(connection, "org_1", Alert(1, "https://example.com/hook", 1), 1)
        add_rate(connection, Rate("proj_1", "*", 1_200_000, 2), 1)
        checkout = {"organisation": "org_1", "amount_nano": 5, "payment": "pi_1", "made_at": 1, "actor": "key_1"}
        connection.execute(insert(CREDIT_CHECKOUTS).values(id="chk_1", **checkout))
        connection.execute(insert(STRIPE_EVENTS).values(id="evt_1", kind="a.b", at=1, result="nothing"))

    ledger.change(fill_rest)
    ledger.change(lambda connection: set_stop(connection, "org_1", hard=True))


def rows_of(ledger: Database) -> Rows:
    """All rows of every table, but for the random name of the contents, and what is noted of a restore."""
    return ledger.read(all_rows)


def all_rows(connection: Connection) -> Rows:
    found = {}
    for table in [*LEDGER.kept, USAGE]:
        columns = [column for column in table.c if column is not INSTALLATION.c.id]
        # SQLite has numbers for truth values, which are equal to them.
        rows = select(*columns).where(*UNLIKE.get(table.name, ()))
        found[table.name] = Counter(tuple(row) for row in connection.execute(rows))
    return found
