"""Schemas: tables that are kept together, and the revisions that make them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, MetaData, Table, insert

from weebill.accounts.audit import Act, command_line
from weebill.accounts.tenants import DEFAULT_NAME, DEFAULT_ORGANISATION, DEFAULT_PROJECT
from weebill.storage.audit import EXEMPT, INSTALLED, record
from weebill.storage.tables import credits as _  # noqa: F401 - its tables are the ledger's
from weebill.storage.tables import sign_in  # noqa: F401 - its tables, too
from weebill.storage.tables.ledger import INSTALLATION, META
from weebill.storage.tables.limits import LEDGER as LEDGER_TABLES
from weebill.storage.tables.outcomes import OUTCOMES_TABLES
from weebill.storage.tables.provider_keys import PROVIDER_KEYS  # noqa: F401 - one of those of the ledger
from weebill.storage.tables.ratings import USAGE_RATINGS  # noqa: F401 - one of those of the ledger
from weebill.storage.tables.responses import RESPONSES_TABLES, SIZE
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS


def _nothing(*_arguments: object) -> None:
    """Does nothing."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables that are kept together; `newest` is the last of the revisions in `folder`, `revisions/{name}` by default.

    On SQLite each has a file of its own, which has the revision's number as its `user_version`. So revisions go on from
    the versions of earlier releases, which leave a newer file alone. `fill` completes new tables, and `upgraded` is
    told of those that were brought from a revision to another one. Errors call them by the title.
    """

    name: str
    tables: MetaData
    newest: str
    fill: Callable[[Connection], None]
    title: str
    folder: Path | None = None
    upgraded: Callable[[Connection, str, str], None] = _nothing

    @property
    def kept(self) -> list[Table]:
        """The tables that have rows of their own, before those that refer to them."""
        return [table for table in self.tables.sorted_tables if not table.is_view]

    @property
    def version_table(self) -> str:
        """The table in which Alembic keeps the revision."""
        return f"{self.name}_revision"


_VERSIONS: Final = (
    "keys_version", "experiments_version", "allowances_version", "provider_keys_version", "audit_rows",
)  # fmt: skip


def _fill_ledger(connection: Connection) -> None:
    connection.execute(insert(INSTALLATION).values(id=secrets.token_hex(16)))
    connection.execute(insert(META), [{"name": name, "value": 0} for name in _VERSIONS])
    made = {"name": DEFAULT_NAME, "created_at": int(time.time()), "changed_in": 0}
    organisation = insert(ORGANISATIONS).values(id=DEFAULT_ORGANISATION, **made)
    project = insert(PROJECTS).values(id=DEFAULT_PROJECT, organisation_id=DEFAULT_ORGANISATION, **made)
    for row in (organisation, project):
        connection.execute(row.execution_options(**EXEMPT))


def _note_upgrade(connection: Connection, found: str, newest: str) -> None:
    before, after = {"schema": found}, {"schema": newest}
    record(connection, command_line(), Act(action="ledger.upgraded", target=INSTALLED, before=before, after=after))


def _fill_responses(connection: Connection) -> None:
    connection.execute(insert(SIZE).values(bytes=0))


LEDGER: Final = Schema("ledger", LEDGER_TABLES, "0028", _fill_ledger, "ledger", upgraded=_note_upgrade)
RESPONSES: Final = Schema("responses", RESPONSES_TABLES, "0002", _fill_responses, "store of responses")
OUTCOMES: Final = Schema("outcomes", OUTCOMES_TABLES, "0004", _nothing, "store of outcomes")
