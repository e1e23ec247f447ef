"""The texts in a record that its client may have made up: so many of each sort are kept apart, the rest as one."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, select

from weebill.storage.tables.ledger import USAGE_KINDS

MOST_NAMES: Final = 2000
"""Kept apart of each sort, by each machine: those that share a database may together keep some more."""
MANY: Final = "(one of many)"
"""The name in records in place of further names."""


class Names:
    """Those in one `column` of `usage_kinds`, the first that were there."""

    def __init__(self, column: str) -> None:
        self._column = USAGE_KINDS.c[column]
        self._known: set[str] | None = None  # not read yet

    def kept(self, connection: Connection, name: str) -> str:
        """Returns the name to record for `name`."""
        known = self._known
        if known is None:
            known = self._known = self._read(connection)
        if name in known:
            return name
        if len(known) >= MOST_NAMES:
            return MANY
        known.add(name)
        return name

    def forget(self) -> None:
        """Reads them again when they are needed: some may have been of what has been rolled back."""
        self._known = None

    def _read(self, connection: Connection) -> set[str]:
        found = select(self._column).group_by(self._column).order_by(func.min(USAGE_KINDS.c.id)).limit(MOST_NAMES)
        return set(connection.scalars(found))
