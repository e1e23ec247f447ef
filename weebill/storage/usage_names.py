"""The texts in a record that its client may have made up: so many of each sort are kept apart, the rest as one."""

from __future__ import annotations

import sqlite3
from typing import Final

MOST_NAMES: Final = 2000
MANY: Final = "(one of many)"
"""The name in records in place of further names."""


class Names:
    """Those in one `column` of `usage_kinds`, the first that were there."""

    def __init__(self, connection: sqlite3.Connection, column: str) -> None:
        self._connection = connection
        self._column = column
        self._known: set[str] | None = None  # not read yet

    def kept(self, name: str) -> str:
        """Returns the name to record for `name`."""
        known = self._known
        if known is None:
            known = self._known = self._read()
        if name in known:
            return name
        if len(known) >= MOST_NAMES:
            return MANY
        known.add(name)
        return name

    def forget(self) -> None:
        """Read them again: some may have been of what has been rolled back."""
        self._known = None

    def _read(self) -> set[str]:
        column = self._column
        query = f"SELECT {column} FROM usage_kinds GROUP BY {column} ORDER BY min(id) LIMIT {MOST_NAMES}"  # noqa: S608
        return {name for (name,) in self._connection.execute(query)}
