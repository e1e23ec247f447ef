"""Schemas: tables that are kept together, and the revisions that make them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, MetaData, Table, insert

from weebill.storage.tables.ledger import INSTALLATION, META
from weebill.storage.tables.ledger import LEDGER as LEDGER_TABLES


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables that are kept together; `newest` is the last of the revisions in `folder`, `revisions/{name}` by default.

    On SQLite each has a file of its own, which has the revision's number as its `user_version`. So revisions go on from
    the versions of earlier releases, which leave a newer file alone. `fill` completes new tables.
    """

    name: str
    tables: MetaData
    newest: str
    fill: Callable[[Connection], None]
    folder: Path | None = None

    @property
    def kept(self) -> list[Table]:
        """The tables that have rows of their own, before those that refer to them."""
        return [table for table in self.tables.sorted_tables if not table.is_view]

    @property
    def version_table(self) -> str:
        """The table in which Alembic keeps the revision."""
        return f"{self.name}_revision"


def _fill_ledger(connection: Connection) -> None:
    connection.execute(insert(INSTALLATION).values(id=secrets.token_hex(16)))
    connection.execute(insert(META), [{"name": name, "value": 0} for name in ("keys_version", "experiments_version")])


LEDGER: Final = Schema("ledger", LEDGER_TABLES, "0009", _fill_ledger)
