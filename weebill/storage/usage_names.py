"""The texts in a record that its client may have made up: so many of each sort are kept apart, the rest as one."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Select, func, select

from weebill.storage.tables.ledger import USAGE_KINDS

MOST_NAMES: Final = 2000
"""Kept apart of each sort in kinds, by each machine: those that share a database may together keep some more."""
MANY: Final = "(one of many)"
"""The name in records and roll-ups in place of further names."""


class Names:
    """At most so many names of one sort: those that `query` finds, which begins with the first that were there."""

    def __init__(self, query: Select[str], most: int) -> None:
        self._query = query.limit(most)
        self._most = most
        self._known: set[str] | None = None  # not read yet

    def kept(self, connection: Connection, name: str) -> str:
        """Returns the name to record for `name`."""
        known = self._known
        if known is None:
            known = self._known = set(connection.scalars(self._query))
        if name in known:
            return name
        if len(known) >= self._most:
            return MANY
        known.add(name)
        return name

    def forget(self) -> None:
        """Reads them again when they are needed: some may have been of what has been rolled back."""
        self._known = None


def names_of_kinds(column: str) -> Names:
    """Returns the names in a column of `usage_kinds`."""
    name = USAGE_KINDS.c[column]
    return Names(select(name).group_by(name).order_by(func.min(USAGE_KINDS.c.id)), MOST_NAMES)
