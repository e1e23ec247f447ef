"""Experiments: a share of a model's requests goes to a candidate, until that is promoted or rolled back.

They are rows of the ledger. Every change bumps `experiments_version` in its own transaction: that is how workers
notice it.
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

from weebill.config.ledger_errors import LedgerError
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
    """`share` of the requests for `model` go to `candidate`; with `shadow`, only a copy of them does.

    Once it is promoted, all requests for `model` go to `candidate`. Times are Unix seconds; `changed_at` is when the
    state last changed.
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
        """What the usage of an arm is recorded under."""
        return f"{self.name}/{arm}"

    def draws(self, conversation: bytes) -> bool:
        """Tells whether a conversation is of the share; the same one always gives the same answer."""
        digest = blake2b(conversation, digest_size=8, key=self.name.encode()).digest()
        return int.from_bytes(digest) < self.share * _SPAN


class ExperimentStore(Store):
    """The experiments of an installation, for the command line. Belongs to one thread."""

    @property
    def connection(self) -> sqlite3.Connection:
        """The open ledger."""
        return self._connection

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
        return self.commit(lambda: self._insert(experiment))

    def all(self) -> list[Experiment]:
        """Every experiment, oldest first."""
        return self._select("? = ''", "")

    def get(self, name: str) -> Experiment:
        """One. Raises LedgerError."""
        found = self._find(name)
        if found is None:
            raise LedgerError(f"There is no experiment {name!r}; `weebill experiment list` shows them all.")
        return found

    def promote(self, name: str) -> Experiment:
        """Send all requests for the model to the candidate, whatever was promoted before. Raises LedgerError."""
        return self.commit(lambda: self._change(name, "promoted"))

    def roll_back(self, name: str) -> Experiment:
        """Send no request to the candidate any more. Raises LedgerError."""
        return self.commit(lambda: self._change(name, "rolled_back"))

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
        # Of several that are promoted the last one counts, even within a second.
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
    """What a worker knows of them. Call `refresh` every 250 ms. Belongs to one thread.

    `running` are by the model whose requests they are about, `promoted` say who answers in a model's place: the
    candidate that was promoted last. While the ledger cannot be read, what was known holds.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._ledger = Follower(database, "experiments_version", BUSY_TIMEOUT_S)
        self._readable = True
        self.running: Mapping[str, Experiment] = {}
        self.promoted: Mapping[str, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take over what has changed in the ledger since the last call. Never raises for want of a ledger."""
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
        """Close the ledger."""
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
