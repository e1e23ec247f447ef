"""The experiments of an installation: begun, promoted and rolled back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from weebill.auto.experiments import Experiment, State
from weebill.config.ledger_errors import LedgerError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

T = TypeVar("T")


class ExperimentTable(Protocol):
    """The stored experiments within a transaction."""

    def all(self) -> list[Experiment]:
        """Every experiment, oldest first."""

    def add(self, experiment: Experiment) -> None:
        """Keep another one."""

    def set_state(self, name: str, state: State, changed_at: int) -> None:
        """Change the state of one."""


class ExperimentBook(Protocol):
    """The storage of experiments."""

    def change(self, change: Callable[[ExperimentTable], T]) -> T:
        """Returns the result of `change` once its changes are kept; it may be called again. Raises LedgerError."""


class ExperimentRegistry:
    """The experiments, for the command line."""

    def __init__(self, book: ExperimentBook) -> None:
        self._book = book

    def create(self, name: str, model: str, candidate: str, share: float, shadow: bool) -> Experiment:
        """Begin an experiment. Raises LedgerError."""
        if not _NAME.fullmatch(name):
            raise LedgerError(f"{name!r} cannot name an experiment: use 1 to 64 of a-z, 0-9, `.`, `_` and `-`.")
        if not 0 < share <= 1:
            raise LedgerError(f"The share must be more than 0 and at most 1, not {share}.")
        if model == candidate:
            raise LedgerError(f"{model!r} cannot be its own candidate.")
        now = int(time.time())
        experiment = Experiment(name, model, candidate, share, shadow, "running", now, now)
        return self._book.change(lambda table: _add(table, experiment))

    def all(self) -> list[Experiment]:
        """Every experiment, oldest first."""
        return self._book.change(lambda table: table.all())

    def get(self, name: str) -> Experiment:
        """One. Raises LedgerError."""
        return _named(name, self.all())

    def promote(self, name: str) -> Experiment:
        """Send all requests for the model to the candidate, whatever was promoted before. Raises LedgerError."""
        return self._book.change(lambda table: _move(table, name, "promoted"))

    def roll_back(self, name: str) -> Experiment:
        """Send no request to the candidate any more. Raises LedgerError."""
        return self._book.change(lambda table: _move(table, name, "rolled_back"))


def _add(table: ExperimentTable, experiment: Experiment) -> Experiment:
    for other in table.all():
        if other.name == experiment.name:
            raise LedgerError(f"There is an experiment {experiment.name!r} already; choose another name.")
        if other.model == experiment.model and other.state == "running":
            of = f"{experiment.model!r} is already in the experiment {other.name!r}"
            raise LedgerError(f"{of}; promote or roll that back first.")
    table.add(experiment)
    return experiment


def _move(table: ExperimentTable, name: str, state: State) -> Experiment:
    experiments = table.all()
    found = _named(name, experiments)
    moved = moved_to(state, found, experiments, int(time.time()))
    if moved is not found:
        table.set_state(name, state, moved.changed_at)
    return moved


def moved_to(state: State, found: Experiment, experiments: list[Experiment], now: int) -> Experiment:
    """`found` in another state, or itself where that changes nothing. Raises LedgerError."""
    promoted = [each for each in experiments if each.model == found.model and each.state == "promoted"]
    last = max((each.changed_at for each in promoted if each.name != found.name), default=0)
    if found.state == state and (state == "rolled_back" or found.changed_at > last):
        return found
    if found.state == "rolled_back":
        raise LedgerError(f"The experiment {found.name!r} has been rolled back; create another one.")
    # Of several that are promoted the last one counts, even within a second.
    return msgspec.structs.replace(found, state=state, changed_at=max(now, last + 1))


def _named(name: str, experiments: list[Experiment]) -> Experiment:
    for each in experiments:
        if each.name == name:
            return each
    raise LedgerError(f"There is no experiment {name!r}; `weebill experiment list` shows them all.")
