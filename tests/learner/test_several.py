"""Several virtual models: each has its own decisions, audits and lesson; what is believed of a pair is shared."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.learner.asked import ONE, PAIR, Clock, ask, curve, features, lesson, standing, store_in
from weebill.auto.gains import decoded
from weebill.auto.learning import Audited, Decided, Lesson, Lessons, Pair, Rate, Report
from weebill.config.auto import AUTO, AuditSettings, TargetSettings
from weebill.learner.topics import Learning
from weebill.process.questions import Position

SUPPORT = "support"
STRICT = msgspec.structs.replace(ONE, target=TargetSettings(quality=0.99))
BOTH = {AUTO: ONE, SUPPORT: STRICT}


@pytest.fixture
def both(tmp_path: Path, clock: Clock) -> Learning:
    return Learning(store_in(tmp_path), BOTH, clock=clock)


def report(auto: str, count: int, *, pair: Pair = PAIR, first: int = 0, right: bool | None = None) -> Report:
    """Decisions of `auto`, all audited: the small model is right in what is not hard, or always as `right` says."""
    numbers = range(first, first + count)
    decided = tuple(
        Decided(
            request_id=f"{auto}_{at}", key_id="key", at=1000, tier="large", features=features(bool(at % 2)),
            probability=1.0, audited=True, spent_nano=100, large_nano=100, auto=auto,
        )
        for at in numbers
    )  # fmt: skip
    scores = [float(not at % 2) if right is None else float(right) for at in numbers]
    audited = tuple(
        Audited(request_id=each.request_id, small=score, large=1.0, by="short", spent_nano=10)
        for each, score in zip(decided, scores, strict=True)
    )
    return Report(pair, decided, audited)


def test_each_has_a_lesson_and_a_standing_of_its_own(both: Learning, clock: Clock) -> None:
    ask(both, report(AUTO, 100))
    ask(both, report(SUPPORT, 30))
    first, second = lesson(both, clock), lesson(both, clock, SUPPORT)
    assert (first.auto, first.decisions, first.audits) == (AUTO, 100, 100)
    assert (second.auto, second.decisions, second.audits) == (SUPPORT, 30, 30)
    one, other = standing(both), standing(both, SUPPORT)
    assert one is not None
    assert other is not None
    assert (one.decisions, one.target) == (100, "quality = 0.9")
    assert (other.decisions, other.target) == (30, "quality = 0.99")


def test_what_one_has_learnt_of_a_pair_is_believed_by_the_other(both: Learning, clock: Clock) -> None:
    ask(both, report(SUPPORT, 1))
    before, _ = decoded(lesson(both, clock, SUPPORT).posterior)
    ask(both, report(AUTO, 200))
    heard = lesson(both, clock, SUPPORT)
    after, _ = decoded(heard.posterior)
    assert abs(after[1]) > 10 * abs(before[1])  # hard or not: that is what is to be learnt
    # But its own traffic has had one audit: which threshold keeps its quality is not known.
    assert (heard.audits, heard.threshold) == (1, None)


def test_what_was_learnt_of_another_pair_is_not_believed(both: Learning, clock: Clock) -> None:
    ask(both, report(SUPPORT, 1))
    before = lesson(both, clock, SUPPORT)
    ask(both, report(AUTO, 200, pair=Pair("s/other", "l/large", "place-1")))
    assert lesson(both, clock, SUPPORT).version == before.version


def test_all_of_it_is_there_after_a_restart(both: Learning, clock: Clock, tmp_path: Path) -> None:
    ask(both, report(AUTO, 50))
    ask(both, report(SUPPORT, 40, right=True))
    before = lesson(both, clock), lesson(both, clock, SUPPORT)
    again = Learning(store_in(tmp_path), BOTH, clock=clock)
    for old, new in zip(before, (lesson(again, clock), lesson(again, clock, SUPPORT)), strict=True):
        assert (new.decisions, new.audits, new.quality) == (old.decisions, old.audits, old.quality)
        assert decoded(new.posterior)[0] == pytest.approx(decoded(old.posterior)[0], abs=1e-3)


def test_a_worker_is_told_each_lesson_once(both: Learning, clock: Clock) -> None:
    ask(both, report(AUTO, 20))
    ask(both, report(SUPPORT, 20))
    clock.now += 2
    heard, known = [], Position()
    while (newest := both.newest(known)) is not None:
        known = newest[0]
        heard.append(msgspec.msgpack.decode(newest[1], type=Lesson))
    assert sorted(each.auto for each in heard) == [AUTO, SUPPORT]
    ask(both, report(SUPPORT, 1, first=20, pair=Pair("s/other", "l/large", "place-1")))
    clock.now += 2
    newest = both.newest(known)
    assert newest is not None
    assert msgspec.msgpack.decode(newest[1], type=Lesson).auto == SUPPORT
    assert both.newest(newest[0]) is None


def test_a_worker_keeps_each(both: Learning, clock: Clock) -> None:
    ask(both, report(AUTO, 20))
    ask(both, report(SUPPORT, 20))
    clock.now += 2
    lessons = Lessons()
    while (newest := both.newest(lessons.position())) is not None:
        lessons.hear(msgspec.Raw(newest[1]))
    assert {each.auto for each in lessons.all()} == {AUTO, SUPPORT}
    # Another learner knows nothing of what the first one told.
    lessons.hear(msgspec.Raw(msgspec.msgpack.encode(Lesson(source="new", version=1, pair=PAIR, decisions=1))))
    assert {each.auto for each in lessons.all()} == {AUTO}


def test_one_that_is_configured_later_begins_then(tmp_path: Path, clock: Clock) -> None:
    learning = Learning(store_in(tmp_path), {AUTO: ONE}, clock=clock)
    ask(learning, report(SUPPORT, 30))  # of a worker that has reloaded already
    assert standing(learning, SUPPORT) is None
    learning.settings = BOTH
    found = standing(learning, SUPPORT)
    assert found is not None
    assert found.audits == 30
    learning.settings = {SUPPORT: STRICT}
    assert standing(learning) is None
    assert curve(learning) is None


def test_a_budget_is_its_own(tmp_path: Path, clock: Clock) -> None:
    poor = msgspec.structs.replace(ONE, audits=AuditSettings(budget_usd=1e-7))
    learning = Learning(store_in(tmp_path), {AUTO: poor, SUPPORT: poor}, clock=clock)
    clock.now = 1000
    ask(learning, report(AUTO, 30))
    ask(learning, report(SUPPORT, 3))
    assert (lesson(learning, clock).funded, lesson(learning, clock, SUPPORT).funded) == (False, True)


def test_a_rating_is_of_the_one_that_answered(both: Learning, clock: Clock) -> None:
    ask(both, report(AUTO, 3))
    ask(both, report(SUPPORT, 3))
    ask(both, Rate("support_1", "key", 0.0))
    rated, other = standing(both, SUPPORT), standing(both)
    assert rated is not None
    assert other is not None
    assert (rated.ratings, other.ratings) == (1, 0)


def test_a_comment_is_kept_where_content_is(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.add(report(AUTO, 2))
    store.add(report(SUPPORT, 2))
    for auto in BOTH:
        store.rate(f"{auto}_1", "key", 0.0, 1, f"said of {auto}", kept_for={SUPPORT})
    reader = sqlite3.connect(tmp_path / "outcomes.sqlite3")
    assert reader.execute("SELECT comment FROM contents").fetchall() == [("said of support",)]
    reader.close()


def test_a_busy_one_takes_no_room_from_the_other(tmp_path: Path) -> None:
    store = store_in(tmp_path, max_decisions=5, max_outcomes=4)
    store.add(report(SUPPORT, 3))
    store.add(report(AUTO, 40))
    assert [len(store.decisions(each, PAIR)) for each in BOTH] == [5, 3]
    outcomes = Counter(each.auto for each in store.outcomes(PAIR))
    assert outcomes == {AUTO: 4, SUPPORT: 3}
    assert [store.count(each, PAIR) for each in BOTH] == [40, 3]
