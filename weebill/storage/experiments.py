"""Experiments in the ledger.

Every change raises `experiments_version` in its own transaction: that is how others notice it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from weebill.auto.experiments import Experiment, State
from weebill.auto.registry import ExperimentRegistry
from weebill.storage.errors import typed_errors
from weebill.storage.store import Store

EXPERIMENTS_VERSION: Final = "experiments_version"

_FIELDS: Final = Experiment.__struct_fields__
_SELECT: Final = f"SELECT {', '.join(_FIELDS)} FROM experiments ORDER BY created_at, rowid"  # noqa: S608
_INSERT: Final = f"INSERT INTO experiments ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608


@contextmanager
def open_experiments(database: Path) -> Iterator[ExperimentRegistry]:
    """The experiments in a ledger, which is made at first use. Raises LedgerError."""
    with ExperimentStore.open(database) as table:
        yield ExperimentRegistry(table)


class ExperimentStore(Store):
    """The `ExperimentTable` of `weebill.auto.registry`. Belongs to one thread."""

    def all(self) -> list[Experiment]:
        """Every experiment, oldest first."""
        with typed_errors():
            return read_experiments(self._connection)

    def add(self, experiment: Experiment) -> None:
        """Keep another one; within `commit`."""
        self._connection.execute(_INSERT, msgspec.structs.astuple(experiment))
        self._raise_version(EXPERIMENTS_VERSION)

    def set_state(self, name: str, state: State, changed_at: int) -> None:
        """Change the state of one; within `commit`."""
        self._connection.execute(
            "UPDATE experiments SET state = ?, changed_at = ? WHERE name = ?", (state, changed_at, name)
        )
        self._raise_version(EXPERIMENTS_VERSION)


def read_experiments(connection: sqlite3.Connection) -> list[Experiment]:
    """Every experiment, oldest first. Raises sqlite3.Error."""
    rows = connection.execute(_SELECT).fetchall()
    return [msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Experiment, strict=False) for row in rows]
