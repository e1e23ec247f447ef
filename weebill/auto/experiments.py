"""Experiments: a share of a model's requests goes to a candidate, until it is promoted or rolled back.

They are rows of the ledger. Every change bumps `experiments_version` in the same transaction, by which workers notice.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal

import msgspec

from weebill.storage.database import LedgerError, open_ledger
from weebill.storage.follower import Follower
from weebill.storage.store import Store

State = Literal["running", "promoted", "rolled_back"]
Arm = Literal["control", "candidate", "shadow"]
BUSY_TIMEOUT_S = 0.02  # workers read on their event loop

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_COLUMNS = "name, model, candidate, share, shadow, state, created_at, changed_at"
_SPAN: Final = float(1 << 64)

log = logging.getLogger(__name__)


class Experiment(msgspec.Struct, frozen=True):
    """`share` of the requests for `model` go to `candidate`; with `shadow`, only copies of them do.

    After promotion, all requests for `model` go to `candidate`. Times are Unix seconds; `changed_at` is the last change
    of the state.
    """

    name: str
    model: str
    candidate: str
    share: float
    shadow: bool
    state: State
    created_at: int
    changed_at: int

    def arm(self, arm: Arm) -> str:
        """Returns the name under which an arm's usage is recorded."""
        return f"{self.name}/{arm}"

    def draws(self, conversation: bytes) -> bool:
        """True if the conversation belongs to the share; always the same for one conversation."""
        digest = blake2b(conversation, digest_size=8, key=self.name.encode()).digest()
        return int.from_bytes(digest) < self.share * _SPAN


class ExperimentStore(Store):
    """The experiments of an installation, for the command line. Belongs to one thread."""

    @classmethod
    def open(cls, database: Path) -> ExperimentStore:
        """Opens the ledger. Raises LedgerError."""
        return cls(open_ledger(database))

    @property
    def connection(self) -> sqlite3.Connection:
        """The open ledger."""
        return self._connection

    def create(self, name: str, model: str, candidate: str, share: float, shadow: bool) -> Experiment:
        """Starts an experiment. Raises LedgerError."""
        if not _NAME.fullmatch(name):
            raise LedgerError(f"{name!r} cannot name an experiment: use 1 to 64 of a-z, 0-9, `.`, `_` and `-`.")
        if not 0 < share <= 1:
            raise LedgerError(f"The share must be more than 0 and at most 1, not {share}.")
        if model == candidate:
            raise LedgerError(f"{model!r} cannot be its own candidate.")
        now = int(time.time())
        experiment = Experiment(name, model, candidate, share, shadow, "running", now, now)
        return self._commit(lambda: self._insert(experiment))

    def all(self) -> list[Experiment]:
        """Returns all experiments, oldest first."""
        return self._select("? = ''", "")

    def get(self, name: str) -> Experiment:
        """Returns one experiment. Raises LedgerError."""
        found = self._find(name)
        if found is None:
            raise LedgerError(f"There is no experiment {name!r}; `weebill experiment list` shows them all.")
        return found

    def promote(self, name: str) -> Experiment:
        """Sends all requests for the model to the candidate, in place of any earlier one. Raises LedgerError."""
        return self._commit(lambda: self._change(name, "promoted"))

    def roll_back(self, name: str) -> Experiment:
        """Sends no more requests to the candidate. Raises LedgerError."""
        return self._commit(lambda: self._change(name, "rolled_back"))

    def _insert(self, experiment: Experiment) -> Experiment:
        if self._find(experiment.name) is not None:
            raise LedgerError(f"There is an experiment {experiment.name!r} already; choose another name.")
        others = self._select("model = ? AND state = 'running'", experiment.model)
        if others:
            of = f"{experiment.model!r} is already in the experiment {others[0].name!r}"
            raise LedgerError(f"{of}; promote or roll that back first.")
        self._connection.execute(
            f"INSERT INTO experiments ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            msgspec.structs.astuple(experiment),
        )
        self._bump()
        return experiment

    def _change(self, name: str, state: State) -> Experiment:
        found = self.get(name)
        promoted = self._select("model = ? AND state = 'promoted'", found.model)
        last = max((each.changed_at for each in promoted if each.name != name), default=0)
        if found.state == state and (state == "rolled_back" or found.changed_at > last):
            return found
        if found.state == "rolled_back":
            raise LedgerError(f"The experiment {name!r} has been rolled back; create another one.")
        # The latest promotion counts, even within one second.
        changed_at = max(int(time.time()), last + 1)
        self._connection.execute(
            "UPDATE experiments SET state = ?, changed_at = ? WHERE name = ?", (state, changed_at, name)
        )
        self._bump()
        return self.get(name)

    def _bump(self) -> None:
        self._connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'experiments_version'")

    def _find(self, name: str) -> Experiment | None:
        return next(iter(self._select("name = ?", name)), None)

    def _select(self, condition: str, value: str) -> list[Experiment]:
        return _read(self._connection, condition, value)


class Experiments:
    """The experiments as a worker knows them. Call `refresh` every 250 ms. Belongs to one thread.

    `running` is by model; `promoted` gives the candidate that was last promoted for a model. While the ledger cannot be
    read, the last known state holds.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._ledger = Follower(database, "experiments_version", BUSY_TIMEOUT_S)
        self._readable = True
        self.running: Mapping[str, Experiment] = {}
        self.promoted: Mapping[str, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Takes over changes in the ledger since the last call. A missing ledger raises nothing."""
        try:
            connection = self._ledger.open()
            version = self._ledger.newest(connection)
            if version != self._ledger.version:
                self._take(_read(connection, "state <> ?", "rolled_back"))
                self._ledger.version = version
        except (OSError, sqlite3.Error) as error:
            self.close()
            if self._readable and not isinstance(error, FileNotFoundError):
                log.warning("experiments cannot be read from %s, those known go on: %s", self._database, error)
            self._readable = False
            return
        self._readable = True

    def close(self) -> None:
        """Closes the ledger."""
        self._ledger.close()

    def _take(self, experiments: Sequence[Experiment]) -> None:
        self.running = {each.model: each for each in experiments if each.state == "running"}
        promoted = sorted((each for each in experiments if each.state == "promoted"), key=lambda each: each.changed_at)
        self.promoted = {each.model: each.candidate for each in promoted}


def _read(connection: sqlite3.Connection, condition: str, value: str) -> list[Experiment]:
    query = f"SELECT {_COLUMNS} FROM experiments WHERE {condition} ORDER BY created_at, rowid"  # noqa: S608
    rows = connection.execute(query, (value,)).fetchall()
    return [msgspec.convert(row, Experiment, strict=False) for row in map(_fields, rows)]


def _fields(row: tuple[object, ...]) -> dict[str, object]:
    return dict(zip(Experiment.__struct_fields__, row, strict=True))
