"""The turns of workers at a host with adapters: who has it, who is told to end it, and who is next."""

from __future__ import annotations

import pytest

from weebill.process.messages import Adapters, Turn
from weebill.supervisor.turns import Turns

HOST = "llama:1"


class Desk:
    """The turns, and what was told of them: `worker+` for one that begins, `worker-` for one that ends."""

    def __init__(self) -> None:
        self.turns = Turns(self._tell)
        self._told: list[str] = []
        self._numbers: dict[str, int] = {}

    def _tell(self, worker: str, turn: Turn) -> None:
        assert (turn.host, turn.number) == (HOST, self._numbers[worker])
        self._told.append(f"{worker}{'+' if turn.begins else '-'}")

    def says(self, worker: str, adapters: str | None) -> list[str]:
        """What is told after a worker has said so."""
        self._numbers[worker] = self._numbers.get(worker, 0) + 1
        self.turns.hear(worker, Adapters(host=HOST, adapters=adapters, number=self._numbers[worker]))
        return self.told()

    def told(self) -> list[str]:
        told, self._told = sorted(self._told), []
        return told


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_same_adapters_are_worked_with_together(desk: Desk) -> None:
    assert desk.says("a", "one") == ["a+"]
    assert desk.says("b", "one") == ["b+"]


def test_others_wait_until_all_at_work_are_done(desk: Desk) -> None:
    desk.says("a", "one")
    desk.says("b", "one")
    assert desk.says("c", "two") == ["a-", "b-"]
    assert desk.says("a", None) == []
    assert desk.says("b", None) == ["c+"]


def test_nobody_joins_those_at_work_while_another_one_waits(desk: Desk) -> None:
    desk.says("a", "one")
    desk.says("b", "two")
    assert desk.says("c", "one") == []
    assert desk.says("a", "one") == ["b+", "b-"]  # it has more of the same, and is told that others wait, too
    assert desk.says("b", None) == ["a+", "c+"]


def test_those_who_wait_for_the_same_begin_together(desk: Desk) -> None:
    desk.says("a", "one")
    for worker, adapters in (("b", "two"), ("c", "three"), ("d", "two")):
        desk.says(worker, adapters)
    assert desk.says("a", None) == ["b+", "b-", "d+", "d-"]
    desk.says("b", None)
    assert desk.says("d", None) == ["c+"]


def test_a_worker_that_has_ended_holds_nobody_up(desk: Desk) -> None:
    desk.says("a", "one")
    desk.says("b", "two")
    desk.says("c", "three")
    desk.turns.forget("b")
    desk.turns.forget("a")
    assert desk.told() == ["c+"]


def test_one_that_wants_something_else_meanwhile_waits_for_that(desk: Desk) -> None:
    desk.says("a", "one")
    desk.says("b", "two")
    assert desk.says("b", "one") == ["b+"]
    assert desk.says("b", None) == []
    assert desk.says("a", "two") == ["a+"]
