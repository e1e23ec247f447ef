"""Experiments in the ledger, what workers see of them, and how their arms compare."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tests.fixtures.databases import insert
from tests.fixtures.ledger import SQLITE
from weebill.auto.comparison import Comparison, compare
from weebill.auto.experiments import Experiment, Experiments
from weebill.auto.intervals import Interval, difference, mean, proportion, ranks
from weebill.auto.registry import ExperimentRegistry
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.ledger.topics import RunningExperiments
from weebill.process.questions import Unanswered, encode
from weebill.storage.comparison import ArmTables
from weebill.storage.database import Database
from weebill.storage.experiments import open_experiments
from weebill.storage.opening import open_ledger
from weebill.storage.versions import Positions
from weebill.usage.records import Outcome, UsageRecord


@pytest.fixture
def store(home: Home) -> Iterator[ExperimentRegistry]:
    with open_experiments(home, SQLITE) as store:
        yield store


class Seen(Experiments):
    """What a worker knows that is told when `refresh` is called."""

    def __init__(self, ledger: Database) -> None:
        super().__init__()
        self._feed = RunningExperiments(ledger, Positions(ledger)).feed(Raw(encode(self.position())))

    def refresh(self) -> None:
        with suppress(Unanswered):
            news = self._feed.news()
            if news is not None:
                self.hear(Raw(news))


@pytest.fixture
def seen(home: Home, store: ExperimentRegistry) -> Iterator[Seen]:
    with open_ledger(home, SQLITE) as ledger:
        yield Seen(ledger)


def test_a_worker_follows(store: ExperimentRegistry, seen: Seen) -> None:
    assert (seen.running, seen.promoted) == ({}, {})
    made = store.create("faster", "mini", "tiny", 0.25, False)
    assert seen.running == {}
    seen.refresh()
    assert seen.running == {"mini": made}
    promoted = store.promote("faster")
    seen.refresh()
    assert (seen.running, seen.promoted) == ({}, {"mini": "tiny"})
    assert promoted.state == "promoted"
    assert store.promote("faster") == promoted
    store.roll_back("faster")
    seen.refresh()
    assert (seen.running, seen.promoted) == ({}, {})
    assert [each.state for each in store.all()] == ["rolled_back"]


def test_promoted_again_it_is_the_last(store: ExperimentRegistry, seen: Seen) -> None:
    for name in ("old", "new"):
        store.create(name, "m", name, 0.5, False)
        store.promote(name)
    store.promote("old")
    seen.refresh()
    assert seen.promoted == {"m": "old"}
    again = store.promote("old")
    assert again == store.get("old")
    store.roll_back("old")
    seen.refresh()
    assert seen.promoted == {"m": "new"}


def test_the_last_that_was_promoted_answers(
    store: ExperimentRegistry, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, (name, candidate) in enumerate([("one", "a"), ("two", "b")]):
        store.create(name, "m", candidate, 0.5, False)
        monkeypatch.setattr(time, "time", lambda at=at: 2e9 + at)
        store.promote(name)
    seen.refresh()
    assert seen.promoted == {"m": "b"}
    store.roll_back("two")
    seen.refresh()
    assert seen.promoted == {"m": "a"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("No Spaces", "m", "c", 0.5, False), "cannot name"),
        (("x" * 65, "m", "c", 0.5, False), "cannot name"),
        (("a/b", "m", "c", 0.5, False), "cannot name"),
        (("new", "m", "c", 0.0, False), "share"),
        (("new", "m", "c", 1.1, False), "share"),
        (("new", "m", "c", math.nan, False), "share"),
        (("new", "m", "m", 0.5, False), "own candidate"),
        (("first", "other", "c", 0.5, False), "already"),
        (("new", "m", "c", 0.5, True), "is already in the experiment 'first'"),
    ],
)
def test_what_cannot_be_begun(
    store: ExperimentRegistry, arguments: tuple[str, str, str, float, bool], said: str
) -> None:
    store.create("first", "m", "c", 0.5, False)
    with pytest.raises(LedgerError, match=said):
        store.create(*arguments)
    assert len(store.all()) == 1


def test_what_is_not_there_or_over(store: ExperimentRegistry) -> None:
    for use in (store.get, store.promote, store.roll_back):
        with pytest.raises(LedgerError, match="no experiment 'x'"):
            use("x")
    store.create("first", "m", "c", 0.5, False)
    assert store.roll_back("first") == store.roll_back("first")
    with pytest.raises(LedgerError, match="rolled back"):
        store.promote("first")
    store.create("second", "m", "c", 0.5, False)


def test_known_experiments_go_on_without_a_ledger(home: Home, store: ExperimentRegistry, seen: Seen) -> None:
    made = store.create("faster", "mini", "tiny", 0.25, False)
    seen.refresh()
    away = home.database.with_name("away.db")
    home.database.rename(away)
    seen.refresh()
    seen.refresh()
    assert seen.running == {"mini": made}
    away.rename(home.database)
    store.roll_back("faster")
    seen.refresh()
    assert seen.running == {}


def test_another_ledger_in_its_place(home: Home, tmp_path: Path, store: ExperimentRegistry, seen: Seen) -> None:
    store.create("faster", "mini", "tiny", 0.25, False)
    seen.refresh()
    with open_experiments(Home(tmp_path), SQLITE) as other:
        made = other.create("slower", "m", "c", 0.5, True)
    for path in home.root.glob("weebill.db*"):
        path.unlink()
    Home(tmp_path).database.rename(home.database)
    seen.refresh()
    assert seen.running == {"m": made}


def experiment(name: str = "x", share: float = 0.5) -> Experiment:
    return Experiment(name, "m", "c", share, False, "running", 0, 0)


@given(st.binary(max_size=40), st.floats(0.001, 0.999))
def test_a_conversation_stays_in_its_arm(conversation: bytes, share: float) -> None:
    drawn = experiment(share=share).draws(conversation)
    assert drawn == experiment(share=share).draws(conversation)
    assert experiment(share=1.0).draws(conversation)
    # A greater share takes nobody out.
    assert experiment(share=min(1.0, share + 0.3)).draws(conversation) or not drawn


def test_the_share_is_drawn() -> None:
    conversations = [str(number).encode() for number in range(20_000)]
    drawn = {name: {each for each in conversations if experiment(name, 0.3).draws(each)} for name in ("x", "y")}
    assert abs(len(drawn["x"]) / 20_000 - 0.3) < 0.015
    # Another experiment draws others.
    assert abs(len(drawn["x"] & drawn["y"]) / 20_000 - 0.09) < 0.01


def add(ledger: Database, arm: str, **fields: object) -> None:
    record = UsageRecord(
        "req", "key", "chat.completions", "m", "m", "up", False, 10, 0, 5, True, 200, "ok", 0, 1000, 2000, arm=arm
    )
    insert(ledger, [msgspec.structs.replace(record, **fields)])


def compared(ledger: Database, experiment: Experiment) -> Comparison:
    return ledger.read(lambda connection: compare(ArmTables(connection), experiment))


def test_arms_are_compared(ledger: Database) -> None:
    made = experiment("faster")
    for number in range(100):
        add(ledger, "faster/control", total_us=number * 1000, cost_nano=100, checked="passed")
        outcome: Outcome = "ok" if number % 10 else "upstream_error"
        checked = "passed" if number % 4 else "schema"
        add(ledger, "faster/candidate", outcome=outcome, cost_nano=50 + number % 2, checked=checked)
    add(ledger, "faster/candidate", outcome="client_cancelled", cost_nano=10**12)
    add(ledger, "faster/shadow", cost_nano=10**12)
    add(ledger, "", cost_nano=10**12)
    found = compared(ledger, made)
    assert (found.control.requests, found.candidate.requests) == (100, 100)
    control, candidate, differences = found.control.figures, found.candidate.figures, found.differences
    assert (control["success"].value, candidate["success"].value) == (1.0, 0.9)
    assert differences["success"].value == pytest.approx(-0.1)
    assert differences["success"].low < -0.1 < differences["success"].high < 0
    assert control["cost_nano"] == Interval(100, 100, 100)
    assert differences["cost_nano"].value == pytest.approx(-49.5)
    assert (control["latency_p50_ms"].value, control["latency_p95_ms"].value) == (50, 95)
    assert control["latency_p50_ms"].low == 40
    assert (candidate["escalated"].value, candidate["passed"].value) == (0.25, 0.75)
    assert (control["escalated"].value, control["passed"].value) == (0, 1)


def test_what_a_check_cannot_tell_neither_passes_nor_is_escalated(ledger: Database) -> None:
    made = experiment("faster")
    for checked in ("passed", "not_known:schema", "not_known:schema,logprobs", "schema", ""):
        add(ledger, "faster/control", checked=checked)
    figures = compared(ledger, made).control.figures
    assert (figures["passed"].value, figures["escalated"].value) == (0.5, 0.2)


def test_costs_that_are_not_known_are_counted_apart(ledger: Database) -> None:
    made = experiment("faster")
    for cost in (100, None, 100, None, None):
        add(ledger, "faster/control", cost_nano=cost)
        add(ledger, "faster/candidate", cost_nano=None)
    found = compared(ledger, made)
    assert (found.control.unpriced, found.candidate.unpriced) == (3, 5)
    assert found.control.figures["cost_nano"].value == 100
    assert "cost_nano" not in found.candidate.figures
    assert "cost_nano" not in found.differences


def test_an_arm_without_requests(ledger: Database) -> None:
    made = msgspec.structs.replace(experiment("faster"), shadow=True)
    add(ledger, "faster/shadow")
    found = compared(ledger, made)
    assert (found.control.requests, found.candidate.requests) == (0, 1)
    assert found.candidate.arm == "shadow"
    assert "passed" not in found.candidate.figures
    assert found.differences == {}


def test_wilsons_interval() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
    for hits, total, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)]:
        found = proportion(hits, total)
        assert found is not None
        assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert proportion(0, 0) is None


def test_newcombes_interval_of_a_difference() -> None:
    # Newcombe, "Interval estimation for the difference between independent proportions", 1998, table II, method 10.
    one, other = proportion(48, 80), proportion(56, 70)
    assert one is not None
    assert other is not None
    found = difference(one, other)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


def test_a_mean() -> None:
    assert mean(0, 0, 0) is None
    assert mean(5, 25, 1) == Interval(5, -math.inf, math.inf)
    found = mean(10, 30, 4)  # 1, 2, 3, 4
    assert found is not None
    assert found.value == 2.5
    assert found.high - 2.5 == pytest.approx(1.96 * math.sqrt(5 / 3 / 4), rel=1e-3)


@given(st.floats(0.01, 0.99), st.integers(1, 10_000))
def test_ranks_are_in_order_and_there(share: float, count: int) -> None:
    middle, low, high = ranks(share, count)
    assert 0 <= low <= middle <= high < count
