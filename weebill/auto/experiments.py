"""Experiments: a share of a model's requests goes to a candidate, until that is promoted or rolled back."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal

import msgspec

from weebill.storage.follower import Follower

State = Literal["running", "promoted", "rolled_back"]
Arm = Literal["control", "candidate", "shadow"]
BUSY_TIMEOUT_S = 0.02  # workers read on their event loop

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
