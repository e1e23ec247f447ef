"""Experiments in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import msgspec
from sqlalchemy import Connection, insert, select, update

from weebill.accounts.audit import Act, Author, command_line
from weebill.auto.experiments import Experiment, State
from weebill.auto.registry import ExperimentRegistry, ExperimentTable
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.tables.ledger import EXPERIMENTS
from weebill.storage.versions import EXPERIMENTS_VERSION, raise_version

T = TypeVar("T")

_FIELDS: Final = tuple(EXPERIMENTS.c[name] for name in Experiment.__struct_fields__)
# Those of one second are in the order in which they were made.
_SELECT: Final = select(*_FIELDS).order_by(EXPERIMENTS.c.created_at, EXPERIMENTS.c.made_in)


@contextmanager
def open_experiments(home: Home, settings: DatabaseSettings) -> Iterator[ExperimentRegistry]:
    """Opens the experiments of an installation, whose ledger is made at first use. Raises LedgerError."""
    with open_ledger(home, settings) as ledger:
        yield experiments_in(ledger)


def experiments_in(ledger: Database) -> ExperimentRegistry:
    """Returns the experiments of an open ledger, for whoever runs this process."""
    return ExperimentRegistry(StoredExperiments(ledger, command_line()))


class StoredExperiments:
    """The `ExperimentBook` of `weebill.auto.registry`."""

    def __init__(self, ledger: Database, author: Author) -> None:
        self._ledger = ledger
        self._author = author

    def change(self, change: Callable[[ExperimentTable], T]) -> T:
        """Returns the result of `change` once its changes are kept."""
        return self._ledger.change(lambda connection: change(ExperimentRows(connection, self._author)))


class ExperimentRows:
    """The `ExperimentTable` of `weebill.auto.registry`, within a transaction; changes are by `author`."""

    def __init__(self, connection: Connection, author: Author) -> None:
        self._connection = connection
        self._author = author

    def all(self) -> list[Experiment]:
        """Returns every experiment, oldest first."""
        return read_experiments(self._connection)

    def add(self, experiment: Experiment) -> None:
        """Stores another one."""
        version = raise_version(self._connection, EXPERIMENTS_VERSION)
        self._connection.execute(insert(EXPERIMENTS).values(**msgspec.structs.asdict(experiment), made_in=version))
        act = Act(action="experiment.created", target=experiment.name, after=msgspec.to_builtins(experiment))
        record(self._connection, self._author, act)

    def set_state(self, name: str, state: State, changed_at: int) -> None:
        """Changes the state of one."""
        named = EXPERIMENTS.c.name == name
        before = self._connection.execute(select(EXPERIMENTS.c.state).where(named)).scalar_one()
        self._connection.execute(update(EXPERIMENTS).where(named).values(state=state, changed_at=changed_at))
        raise_version(self._connection, EXPERIMENTS_VERSION)
        act = Act(action="experiment.changed", target=name, before={"state": before}, after={"state": state})
        record(self._connection, self._author, act)


def read_experiments(connection: Connection) -> list[Experiment]:
    """Returns every experiment, oldest first."""
    names = Experiment.__struct_fields__
    rows = connection.execute(_SELECT)
    return [msgspec.convert(dict(zip(names, row, strict=True)), Experiment, strict=False) for row in rows]
