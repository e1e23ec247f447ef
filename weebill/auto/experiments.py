"""Experiments: a share of a model's requests goes to a candidate, until it is promoted or rolled back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, Literal

import msgspec
from msgspec import Raw

from weebill.process.questions import Position

State = Literal["running", "promoted", "rolled_back"]
Arm = Literal["control", "candidate", "shadow"]

TOPIC: Final = "experiments"
"""A follower is told an `ExperimentSnapshot`; nobody is asked about it."""
_SPAN: Final = float(1 << 64)


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


class ExperimentSnapshot(msgspec.Struct, frozen=True):
    """The experiments that are running or promoted, at a version of the ledger `source`."""

    source: str
    version: int
    experiments: list[Experiment]


_decode: Final = msgspec.msgpack.Decoder(ExperimentSnapshot).decode


class Experiments:
    """The experiments as a worker knows them, by following `TOPIC`. Belongs to one loop.

    `running` is by model; `promoted` gives the candidate that was last promoted for a model. While nothing is heard of
    the ledger, the last known state holds. `on_change` is called after each change.
    """

    def __init__(self) -> None:
        self._position = Position()
        self.running: Mapping[str, Experiment] = {}
        self.promoted: Mapping[str, str] = {}
        self.on_change: Callable[[], None] = _nobody_follows

    def position(self) -> Position:
        """Returns how far changes are known."""
        return self._position

    def hear(self, news: Raw) -> None:
        """Takes over a snapshot. Raises msgspec.MsgspecError."""
        snapshot = _decode(news)
        self.take(snapshot.experiments)
        self._position = Position(snapshot.source, snapshot.version)

    def take(self, experiments: Sequence[Experiment]) -> None:
        """Have these in place of those that were known."""
        self.running = {each.model: each for each in experiments if each.state == "running"}
        promoted = sorted((each for each in experiments if each.state == "promoted"), key=lambda each: each.changed_at)
        self.promoted = {each.model: each.candidate for each in promoted}
        self.on_change()


def _nobody_follows() -> None:
    """Does nothing."""
