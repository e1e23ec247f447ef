"""The store of outcomes: what it keeps, of what, and for how long."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from weebill.auto.learning import Audited, Content, Decided, Pair, Report
from weebill.config.auto import AUTO, Tier
from weebill.storage import outcomes
from weebill.storage.disposable import open_disposable
from weebill.storage.outcomes import OutcomeError, OutcomeStore, kept_questions

PAIR = Pair("s/small", "l/large", "place-1")
OTHER = Pair("s/other", "l/large", "place-1")
OLD = (PAIR.small, PAIR.large, PAIR.features)


def decided(number: int, tier: Tier = "small", **fields: object) -> Decided:
    return Decided(
        request_id=f"req_{number}", key_id="key_1", at=number, tier=tier, features=b"\x00\x3c", **fields  # type: ignore[arg-type]
    )  # fmt: skip


def audited(number: int, small: float | None = 1.0, content: Content | None = None) -> Audited:
    large = None if small is None else 1.0
    return Audited(request_id=f"req_{number}", small=small, large=large, by="short", content=content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outcomes.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[OutcomeStore]:
    store = OutcomeStore(path, max_decisions=5, max_outcomes=4)
    yield store
    store.close()


def test_what_is_reported_is_there_again(store: OutcomeStore, path: Path) -> None:
    first, second = decided(1, probability=0.5, audited=True, spent_nano=7), decided(2, "large", escalated=True)
    new = store.add(Report(PAIR, (first, second), (audited(1),)))
    assert [(each.request_id, each.source, each.small, each.large) for each in new] == [
        ("req_2", "check", 0.0, None),
        ("req_1", "audit", 1.0, 1.0),
    ]
    again = OutcomeStore(path)
    assert again.decisions(AUTO, PAIR) == [first, second]
    assert again.outcomes(PAIR) == new
    assert (again.newest_pair(AUTO), again.count(AUTO, PAIR), again.count(AUTO, OTHER)) == (PAIR, 2, 0)
    assert (again.decisions(AUTO, OTHER), again.outcomes(OTHER)) == ([], [])
    again.close()


def test_a_repeated_report_changes_nothing(store: OutcomeStore) -> None:
    report = Report(PAIR, (decided(1, audited=True), decided(2, escalated=True)), (audited(1),))
    store.add(report)
    assert store.add(report) == []
    assert (store.count(AUTO, PAIR), len(store.decisions(AUTO, PAIR)), len(store.outcomes(PAIR))) == (2, 2, 2)


def test_an_audit_of_an_unknown_request_is_passed_over(store: OutcomeStore) -> None:
    assert store.add(Report(PAIR, (), (audited(9),))) == []


def test_the_newest_are_kept(store: OutcomeStore) -> None:
    for number in range(12):
        store.add(Report(PAIR, (decided(number),), (audited(number),)))
    assert [each.at for each in store.decisions(AUTO, PAIR)] == [7, 8, 9, 10, 11]
    assert [each.at for each in store.outcomes(PAIR)] == [8, 9, 10, 11]
    assert store.count(AUTO, PAIR) == 12


def test_a_rating_is_of_the_tier_that_answered_and_replaces_an_earlier_one(store: OutcomeStore) -> None:
    store.add(Report(PAIR, (decided(1), decided(2, "large"))))
    small, large = store.rate("req_1", "key_1", 0.0, 9), store.rate("req_2", "key_1", 0.5, 9)
    assert small is not None
    assert large is not None
    assert (small[0], small[1].small, small[1].large) == (PAIR, 0.0, None)
    assert (large[1].small, large[1].large) == (None, 0.5)
    again = store.rate("req_1", "key_1", 1.0, 10)
    assert again is not None
    assert again[1] == small[1]._replace(at=10, small=1.0)
    assert [(each.request_id, each.small) for each in store.outcomes(PAIR)] == [("req_1", 1.0), ("req_2", None)]
    assert store.rate("req_1", "key_2", 1.0, 10) is None
    assert store.rate("req_3", "key_1", 1.0, 10) is None


def test_a_middle_tier_has_a_score_of_its_own(store: OutcomeStore) -> None:
    scores = msgspec.structs.replace(audited(1, 0.0), mid=1.0)
    [outcome] = store.add(Report(PAIR, (decided(1, "mid", audited=True),), (scores,)))
    assert (outcome.small, outcome.mid, outcome.large) == (0.0, 1.0, 1.0)
    assert store.rate("req_1", "key_1", 0.25, 9) is not None
    rated = store.rate("req_1", "key_1", 0.5, 9)
    assert rated is not None
    assert (rated[1].small, rated[1].mid, rated[1].large) == (None, 0.5, None)
    assert [(each.source, each.mid) for each in store.outcomes(PAIR)] == [("audit", 1.0), ("feedback", 0.5)]


def test_texts_are_there_only_if_they_were_sent(store: OutcomeStore, path: Path) -> None:
    content = Content("Why?", "So.", "Because.")
    store.add(Report(PAIR, (decided(1), decided(2)), (audited(1), audited(2, content=content))))
    store.rate("req_1", "key_1", 0.0, 9)
    store.rate("req_2", "key_1", 0.0, 9, "Wrong", (AUTO,))
    reader = sqlite3.connect(path)
    rows = reader.execute("SELECT question, small, large, comment FROM contents").fetchall()
    reader.close()
    assert rows == [("Why?", "So.", "Because.", ""), ("", "", "", "Wrong")]


def test_it_is_its_users_alone(store: OutcomeStore, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_store_of_before_there_were_several_is_taken_over(path: Path) -> None:
    old = open_disposable(path, outcomes._STEPS[:2], Exception())
    old.execute("INSERT INTO pairs (id, small, large, features, decisions) VALUES (7, ?, ?, ?, 41)", OLD)
    old.execute(
        "INSERT INTO decisions (pair, request_id, key_id, at, tier, features, escalated, probability, audited)"
        " VALUES (7, 'req_1', 'key_1', 1, 'small', x'003c', 0, 1.0, 1)"
    )
    old.execute(
        "INSERT INTO outcomes (pair, request_id, source, at, tier, features, small, large, judged_by)"
        " VALUES (7, 'req_1', 'audit', 1, 'small', x'003c', 0.5, 1.0, 'short')"
    )
    old.close()
    store = OutcomeStore(path)
    assert (store.newest_pair(AUTO), store.count(AUTO, PAIR), store.newest_pair("support")) == (PAIR, 41, None)
    assert store.decisions(AUTO, PAIR) == [decided(1, probability=1.0, audited=True)]
    assert [(each.small, each.auto) for each in store.outcomes(PAIR)] == [(0.5, AUTO)]
    store.add(Report(PAIR, (decided(2),)))
    assert store.count(AUTO, PAIR) == 42


def test_a_newer_store_is_refused(path: Path) -> None:
    OutcomeStore(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(OutcomeError, match="newer Weebill"):
        OutcomeStore(path)


def test_what_is_kept_is_read_beside_the_writer_and_never_changed(store: OutcomeStore, path: Path) -> None:
    content = Content(question="Who?", small="Me", large="I")
    store.add(Report(PAIR, (decided(1), decided(2)), (audited(1, content=content), audited(2))))
    assert list(kept_questions(path)) == [("Who?", 1.0, 1.0)]
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(OutcomeError, match="of another version"):
        list(kept_questions(path))
    damaged = path.with_name("damaged")
    damaged.write_bytes(b"no database" * 1000)
    with pytest.raises(OutcomeError, match="not a database"):
        list(kept_questions(damaged))
    assert damaged.read_bytes() == b"no database" * 1000
