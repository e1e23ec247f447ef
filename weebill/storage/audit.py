"""The audit log in the ledger. Rows are written in the transaction of the act, one after the other.

No administrative change goes without: a change of one of `AUDITED` is undone unless its transaction writes a row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
from sqlalchemy import Connection, Delete, Engine, Insert, Table, Update, event, insert, select

from weebill.accounts.audit import BEGINNING, Act, AuditEntry, Author, Verified, sealed, text_of, verify
from weebill.config.ledger_errors import LedgerError
from weebill.storage.database import Database
from weebill.storage.tables.audit import AUDIT
from weebill.storage.tables.ledger import API_KEYS, EXPERIMENTS, INSTALLATION, META, USAGE_RETENTION
from weebill.storage.tables.limits import LIMITS
from weebill.storage.tables.tenants import MEMBERSHIPS, ORGANISATIONS, PROJECTS, SERVICE_ACCOUNTS, USERS
from weebill.storage.usage_rows import without_nul
from weebill.storage.versions import AUDIT_ROWS, raise_version

AUDITED: Final[frozenset[Table]] = frozenset(
    {API_KEYS, EXPERIMENTS, LIMITS, MEMBERSHIPS, ORGANISATIONS, PROJECTS, SERVICE_ACCOUNTS, USAGE_RETENTION, USERS}
)
EXEMPT: Final = {"no_act": True}
"""Execution options of statements on these tables that are no act of anybody's, such as noting a use."""
INSTALLED: Final = INSTALLATION.name  # the target of acts on the installation itself
_CHANGED: Final = "changed without an audit row"
_BATCH: Final = 1000
_FIELDS: Final = [AUDIT.c[name] for name in AuditEntry.__struct_fields__]


class UnauditedChangeError(LedgerError):
    """A change of what is administered has no row in the audit log; it is undone. A fault of ours."""

    def __init__(self, tables: set[str]) -> None:
        super().__init__(f"A change of {', '.join(sorted(tables))} was not recorded, and so was undone: report this.")


def watch(engine: Engine) -> None:
    """Has changes of administered tables noted, for `recorded`."""
    event.listen(engine, "after_execute", _note)


@contextmanager
def recorded(connection: Connection) -> Iterator[None]:
    """Raises UnauditedChangeError at the end if something administered was changed without a row."""
    touched: set[str] = set()
    connection.info[_CHANGED] = touched
    yield
    if touched and AUDIT.name not in touched:
        raise UnauditedChangeError(touched)


def _note(connection: Connection, statement: object, *more: object) -> None:
    if isinstance(statement, Insert | Update | Delete) and not statement.get_execution_options().get("no_act"):
        table = statement.table
        if table in AUDITED or (table is AUDIT and isinstance(statement, Insert)):
            connection.info.setdefault(_CHANGED, set()).add(table.name)


def record(connection: Connection, author: Author, act: Act) -> AuditEntry:
    """Writes a row, within the transaction of the act; others who write one wait for its end."""
    number = raise_version(connection, AUDIT_ROWS)
    previous = connection.execute(select(AUDIT.c.hash).where(AUDIT.c.id == number - 1)).scalar()
    entry = sealed(
        AuditEntry(
            id=number,
            at=time.time_ns() // 1000,
            author_kind=author.kind,
            author_id=author.id,
            author_name=without_nul(author.name),
            address=without_nul(author.address),
            action=act.action,
            target=without_nul(act.target),
            organisation_id=act.organisation_id,
            before=text_of(act.before),
            after=text_of(act.after),
            previous=previous or BEGINNING,
        )
    )
    connection.execute(insert(AUDIT).values(msgspec.structs.asdict(entry)))
    return entry


def latest(
    connection: Connection, limit: int, before: int | None = None, organisation_id: str | None = None
) -> list[AuditEntry]:
    """Returns rows, the latest first: those before the row `before`, and of one organisation if it is given."""
    rows = select(*_FIELDS).order_by(AUDIT.c.id.desc()).limit(limit)
    if before is not None:
        rows = rows.where(AUDIT.c.id < before)
    if organisation_id is not None:
        rows = rows.where(AUDIT.c.organisation_id == organisation_id)
    return [_entry(tuple(row)) for row in connection.execute(rows)]


def check(ledger: Database, noted: dict[int, str] | None = None) -> Verified:
    """Checks the whole log. Raises BrokenChainError, LedgerError."""

    def checked(connection: Connection) -> Verified:
        written = connection.execute(select(META.c.value).where(META.c.name == AUDIT_ROWS)).scalar_one()
        return verify(_all(connection), written, noted)

    return ledger.read(checked)


def _all(connection: Connection) -> Iterator[AuditEntry]:
    last = 0
    while True:
        rows = connection.execute(select(*_FIELDS).where(AUDIT.c.id > last).order_by(AUDIT.c.id).limit(_BATCH)).all()
        yield from (_entry(tuple(row)) for row in rows)
        if len(rows) < _BATCH:
            return
        last = rows[-1].id


def _entry(row: tuple[object, ...]) -> AuditEntry:
    return msgspec.convert(dict(zip(AuditEntry.__struct_fields__, row, strict=True)), AuditEntry)
