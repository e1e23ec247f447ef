"""The ledger as its operator sees it: where it is, how much it holds, of which release it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Connection, func, select, text

from weebill.storage.database import Database
from weebill.storage.schema import LEDGER
from weebill.storage.tables.ledger import API_KEYS, EXPERIMENTS, JOURNAL_MARKS, USAGE, USAGE_DAILY
from weebill.storage.upgrade import revision_of

_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Contents:
    """The amounts that a ledger holds: active and revoked keys, requests, experiments."""

    keys: int
    revoked: int
    requests: int
    experiments: int

    @property
    def anything(self) -> bool:
        """True if there is anything to lose."""
        return bool(self.keys or self.revoked or self.requests or self.experiments)


@dataclass(frozen=True, slots=True)
class State:
    """A ledger's state. `revision` is "" if it has no tables yet; the rest is known of the newest one alone."""

    engine: str
    place: str
    revision: str
    bytes: int
    contents: Contents | None = None
    last_at: float | None = None
    marks: Mapping[str, int] = field(default_factory=dict)


def contents_of(connection: Connection) -> Contents:
    """Counts what an up to date ledger holds."""
    made = connection.execute(select(func.count()).select_from(API_KEYS)).scalar_one()
    revoked = connection.execute(select(func.count()).where(API_KEYS.c.revoked_at.is_not(None))).scalar_one()
    # Of the totals by day: counting the records themselves would take minutes where there are many.
    requests = connection.execute(select(func.coalesce(func.sum(USAGE_DAILY.c.requests), 0))).scalar_one()
    experiments = connection.execute(select(func.count()).select_from(EXPERIMENTS)).scalar_one()
    return Contents(made - revoked, revoked, int(requests), experiments)


def state_of(ledger: Database) -> State:
    """Returns the state of a ledger, and changes nothing. Raises LedgerError, on SQLite also if there is none."""
    return ledger.look(_state)


def _state(connection: Connection) -> State:
    found = revision_of(connection, LEDGER)
    engine, place, size = _sqlite(connection) if connection.dialect.name == "sqlite" else _postgresql(connection)
    if found != LEDGER.newest:
        return State(engine, place, found, size)
    last = connection.execute(select(USAGE.c.started_at).order_by(USAGE.c.id.desc()).limit(1)).scalar()
    marks = {row.segment: row.offset for row in connection.execute(select(JOURNAL_MARKS))}
    return State(engine, place, found, size, contents_of(connection), None if last is None else last / _US, marks)


def _sqlite(connection: Connection) -> tuple[str, str, int]:
    version = connection.scalar(text("SELECT sqlite_version()"))
    path = Path(str(connection.exec_driver_sql("PRAGMA database_list").one()[2]))
    log = path.with_name(f"{path.name}-wal")
    return f"SQLite {version}", str(path), sum(each.stat().st_size for each in (path, log) if each.exists())


def _postgresql(connection: Connection) -> tuple[str, str, int]:
    version, database, user, size = connection.execute(
        text(
            "SELECT current_setting('server_version'), current_database(), current_user, "
            "pg_database_size(current_database())"
        )
    ).one()
    return f"PostgreSQL {version}", f"database {database}, user {user}", size


def host_of(url: str) -> str:
    """Returns the hosts of a PostgreSQL's address, without its user and password."""
    parts = urlsplit(url)
    named = parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", ()))
    return named or "this machine"
