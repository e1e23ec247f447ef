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
from weebill.config.paths import Home
from weebill.storage import outcomes
from weebill.storage.database import Database
from weebill.storage.opening import open_outcomes
from weebill.storage.outcomes import OutcomeError, OutcomeStore, UnkeepableError, kept_questions

PAIR = Pair("s/small", "l/large", "place-1")
OTHER = Pair("s/other", "l/large", "place-1")
# From each version of earlier releases to the next.
EARLIER = (
    """
    CREATE TABLE pairs (
        id INTEGER PRIMARY KEY,
        small TEXT NOT NULL,
        large TEXT NOT NULL,
        features TEXT NOT NULL,
        decisions INTEGER NOT NULL DEFAULT 0,
        UNIQUE (small, large, features)
    ) STRICT;
    CREATE TABLE decisions (
        number INTEGER PRIMARY KEY,
        pair INTEGER NOT NULL REFERENCES pairs (id),
        request_id TEXT NOT NULL UNIQUE,
        key_id TEXT NOT NULL,
        at INTEGER NOT NULL,
        tier TEXT NOT NULL,
        features BLOB NOT NULL,
        escalated INTEGER NOT NULL,
        probability REAL NOT NULL,
        audited INTEGER NOT NULL,
        spent_nano INTEGER,
        large_nano INTEGER
    ) STRICT;
    CREATE TABLE outcomes (
        number INTEGER PRIMARY KEY,
        pair INTEGER NOT NULL REFERENCES pairs (id),
        request_id TEXT NOT NULL,
        source TEXT NOT NULL,
        at INTEGER NOT NULL,
        tier TEXT NOT NULL,
        features BLOB NOT NULL,
        probability REAL,
        small REAL,
        large REAL,
        judged_by TEXT NOT NULL,
        spent_nano INTEGER,
        UNIQUE (request_id, source)
    ) STRICT;
    CREATE TABLE contents (
        outcome INTEGER PRIMARY KEY REFERENCES outcomes (number) ON DELETE CASCADE,
        question TEXT NOT NULL DEFAULT '',
        small TEXT NOT NULL DEFAULT '',
        large TEXT NOT NULL DEFAULT '',
        comment TEXT NOT NULL DEFAULT ''
    ) STRICT;
    """,
    """
    ALTER TABLE decisions ADD COLUMN signs BLOB NOT NULL DEFAULT x'';
    ALTER TABLE outcomes ADD COLUMN signs BLOB NOT NULL DEFAULT x'';
    """,
    """
    ALTER TABLE outcomes ADD COLUMN mid REAL;
    ALTER TABLE decisions ADD COLUMN auto TEXT NOT NULL DEFAULT 'auto';
    ALTER TABLE outcomes ADD COLUMN auto TEXT NOT NULL DEFAULT 'auto';
    CREATE INDEX decisions_of_auto ON decisions (auto, number);
    CREATE INDEX outcomes_of_auto ON outcomes (auto, number);
    CREATE TABLE autos (
        pair INTEGER NOT NULL REFERENCES pairs (id),
        auto TEXT NOT NULL,
        decisions INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (pair, auto)
    ) STRICT;
    INSERT INTO autos (pair, auto, decisions) SELECT id, 'auto', decisions FROM pairs;
    ALTER TABLE pairs DROP COLUMN decisions;
    """,
)
OLD = (PAIR.small, PAIR.large, PAIR.features)


def decided(number: int, tier: Tier = "small", **fields: object) -> Decided:
    return Decided(
        request_id=f"req_{number}", key_id="key_1", at=number, tier=tier, features=b"\x00\x3c", **fields  # type: ignore[arg-type]
    )  # fmt: skip


def audited(number: int, small: float | None = 1.0, content: Content | None = None) -> Audited:
    large = None if small is None else 1.0
    return Audited(request_id=f"req_{number}", small=small, large=large, by="short", content=content)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def path(home: Home) -> Path:
    return home.lessons


@pytest.fixture
def database(home: Home) -> Iterator[Database]:
    with open_outcomes(home) as database:
        yield database


@pytest.fixture
def store(database: Database) -> OutcomeStore:
    return OutcomeStore(database, max_decisions=5, max_outcomes=4)


def test_what_is_reported_is_there_again(store: OutcomeStore, home: Home) -> None:
    first, second = decided(1, probability=0.5, audited=True, spent_nano=7), decided(2, "large", escalated=True)
    new = store.add(Report(PAIR, (first, second), (audited(1),)))
    assert [(each.request_id, each.source, each.small, each.large) for each in new] == [
        ("req_2", "check", 0.0, None),
        ("req_1", "audit", 1.0, 1.0),
    ]
    with open_outcomes(home) as opened_again:
        again = OutcomeStore(opened_again)
        assert again.decisions(AUTO, PAIR) == [first, second]
        assert again.outcomes(PAIR) == new
        assert (again.newest_pair(AUTO), again.count(AUTO, PAIR), again.count(AUTO, OTHER)) == (PAIR, 2, 0)
        assert (again.decisions(AUTO, OTHER), again.outcomes(OTHER)) == ([], [])
        assert again.spent(AUTO) == []


def test_what_audits_cost_is_known(store: OutcomeStore) -> None:
    audits = tuple(msgspec.structs.replace(audited(number), spent_nano=number) for number in range(3))
    store.add(Report(PAIR, tuple(map(decided, range(3))), audits))
    assert store.spent(AUTO) == [(1, 1), (2, 2)]


def test_a_value_that_no_table_takes_is_refused_for_good(store: OutcomeStore) -> None:
    for fields in {"at": 2**63}, {"spent_nano": 2**70}, {"tier": None}:
        wrong = msgspec.structs.replace(decided(1), **fields)
        with pytest.raises(UnkeepableError, match="cannot hold it"):
            store.add(Report(PAIR, (decided(2), wrong)))
    assert store.decisions(AUTO, PAIR) == []


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


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_store_of_an_earlier_release_is_taken_over(path: Path, database: Database, version: int) -> None:
    earlier = sqlite3.connect(path)
    earlier.executescript(EARLIER[0])
    earlier.execute("INSERT INTO pairs (id, small, large, features, decisions) VALUES (7, ?, ?, ?, 41)", OLD)
    earlier.execute(
        "INSERT INTO decisions (pair, request_id, key_id, at, tier, features, escalated, probability, audited)"
        " VALUES (7, 'req_1', 'key_1', 1, 'small', x'003c', 0, 1.0, 1)"
    )
    earlier.execute(
        "INSERT INTO outcomes (pair, request_id, source, at, tier, features, small, large, judged_by)"
        " VALUES (7, 'req_1', 'audit', 1, 'small', x'003c', 0.5, 1.0, 'short')"
    )
    earlier.execute("INSERT INTO contents (outcome, question) VALUES (1, 'Why?')")
    for script in EARLIER[1:version]:
        earlier.executescript(script)
    earlier.execute(f"PRAGMA user_version = {version}")
    earlier.commit()
    earlier.close()
    store = OutcomeStore(database)
    assert (store.newest_pair(AUTO), store.count(AUTO, PAIR), store.newest_pair("support")) == (PAIR, 41, None)
    assert store.decisions(AUTO, PAIR) == [decided(1, probability=1.0, audited=True)]
    assert [(each.small, each.auto) for each in store.outcomes(PAIR)] == [(0.5, AUTO)]
    assert list(kept_questions(database)) == [("Why?", 0.5, 1.0)]
    store.add(Report(PAIR, (decided(2),)))
    assert store.count(AUTO, PAIR) == 42


def test_a_newer_store_is_refused(path: Path, home: Home, store: OutcomeStore) -> None:
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with open_outcomes(home) as database, pytest.raises(OutcomeError, match="newer Weebill"):
        OutcomeStore(database)


def test_what_is_kept_is_read_beside_the_writer_and_never_changed(
    store: OutcomeStore, database: Database, path: Path
) -> None:
    content = Content(question="Who?", small="Me", large="I")
    store.add(Report(PAIR, (decided(1), decided(2)), (audited(1, content=content), audited(2))))
    assert list(kept_questions(database)) == [("Who?", 1.0, 1.0)]
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1")
    with pytest.raises(OutcomeError, match="of another version"):
        list(kept_questions(database))


def test_many_questions_are_read_in_parts(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "_PAGE", 3)
    store, many = OutcomeStore(database), range(10)
    audits = tuple(audited(number, content=Content(f"{number}?", "", "")) for number in many)
    store.add(Report(PAIR, tuple(map(decided, many)), audits))
    assert [question for question, *_ in kept_questions(database)] == [f"{number}?" for number in many]


def test_a_damaged_store_is_not_exported(home: Home, database: Database) -> None:
    home.lessons.write_bytes(b"no database" * 1000)
    with pytest.raises(OutcomeError, match="not a database"):
        list(kept_questions(database))
    assert home.lessons.read_bytes() == b"no database" * 1000
