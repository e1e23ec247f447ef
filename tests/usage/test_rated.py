"""Ratings: each finds its request once, is part of the sums, and goes with it; nobody rates those of other tenants."""

from __future__ import annotations

import random
import time
from functools import partial

import msgspec
import pytest
from journal_process import STARTED_AT, make_record
from test_reports import HOLDERS, tenants
from test_rollups import some

from tests.fixtures.databases import execute, insert, rows
from tests.fixtures.records import write
from weebill.config.paths import Home
from weebill.config.schema import MeteringSettings
from weebill.storage import rating_search, ratings
from weebill.storage.database import Database
from weebill.storage.rating_search import LONGEST_S, RatingSearch
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_export import RECORD_COLUMNS, records
from weebill.storage.usage_reports import report
from weebill.storage.usage_retention import COUNTS_ONLY, EVERYWHERE, Sweeper, set_rule
from weebill.usage.ingest import Ingester
from weebill.usage.journal import JournalWriter
from weebill.usage.records import MICRO, Labels, Rating, UsageRecord
from weebill.usage.reports import ReportQuery
from weebill.usage.spans import LATEST_H, Span

ALL = Span(0, LATEST_H)
HOUR = STARTED_AT // 3_600_000_000
SPAN = Span(HOUR - HOUR % 24, HOUR - HOUR % 24 + 24 * 5)


def rating(request_id: str, score: float, key_id: str = "key_0", at: int = 1, comment: str = "") -> Rating:
    return Rating(request_id=request_id, key_id=key_id, at=at, score_micro=round(score * MICRO), comment=comment)


def rate(ledger: Database, *given: Rating) -> int:
    """Rates as ingestion does, and looks for the requests; returns the number found."""
    StoredUsage(ledger).change(lambda tables: tables.rate(given))
    return look(ledger)


def look(ledger: Database, now: float | None = None) -> int:
    return RatingSearch(ledger, lambda: None).look(now)


def sums(ledger: Database, **query: object) -> dict[tuple[str | None, ...], tuple[int, float | None]]:
    wanted = ReportQuery(span=SPAN, bucket="all", **query)  # type: ignore[arg-type]
    page = ledger.read(partial(report, query=wanted, limit=100))
    return {row.group: (row.amounts.rated, row.amounts.mean_score) for row in page.rows}


def exported(ledger: Database) -> dict[object, tuple[object, ...]]:
    """The rating of each request in an export."""
    at = RECORD_COLUMNS.index("request_id")
    return {row[at]: row[-4:] for page in records(ledger, ALL, {}) for row in page}


@pytest.fixture
def used(ledger: Database) -> Database:
    ledger.change(tenants)
    insert(ledger, [msgspec.structs.replace(make_record(f"req_{key}"), key_id=key) for key in HOLDERS])
    return ledger


def test_a_rating_is_kept_with_its_request_and_another_one_takes_its_place(used: Database) -> None:
    assert sums(used) == {(): (0, None)}
    assert rate(used, rating("req_key_0", 1, comment="good\0")) == 1
    assert sums(used, group_by=("key",)) == {("key_0",): (1, 1.0), ("key_1",): (0, None), ("key_2",): (0, None)}
    assert exported(used)["req_key_0"] == (1.0, 1, "key_0", "good\ufffd")
    assert exported(used)["req_key_1"] == (None,) * 4
    assert rate(used, rating("req_key_0", 0.25, at=3), rating("req_key_0", 0.5, at=2)) == 1
    assert sums(used, group_by=("model",)) == {("tiny",): (1, 0.25)}
    # An older one that comes late changes nothing.
    assert rate(used, rating("req_key_0", 1, at=2)) == 0
    assert exported(used)["req_key_0"] == (0.25, 3, "key_0", "")
    assert rows(used, "SELECT count(*) FROM usage_ratings_waiting") == [(0,)]


def test_only_the_keys_of_its_project_rate_a_request(used: Database) -> None:
    execute(used, "UPDATE api_keys SET project_id = 'proj_a' WHERE id = 'key_1'")
    assert rate(used, rating("req_key_0", 1, key_id="key_1")) == 1
    execute(used, "UPDATE api_keys SET project_id = 'proj_b' WHERE id = 'key_1'")
    for key, request in (("key_0", "req_key_1"), ("key_1", "req_key_2"), ("key_2", "req_key_1"), ("key_0", "nothing")):
        assert rate(used, rating(request, 1, key_id=key)) == 0
    # One that the ledger does not know any more is of nobody but itself.
    assert rate(used, rating("req_key_2", 0, key_id="key_2")) == 1
    assert sums(used, group_by=("key",)) == {("key_0",): (1, 1.0), ("key_1",): (0, None), ("key_2",): (1, 0.0)}


def test_nobody_displaces_a_rating_by_one_of_the_same_request(used: Database) -> None:
    """Neither an earlier nor a later one of another project, nor one of a key that is not known."""
    for name, others in (("key_0", ("key_1", "key_2")), ("key_1", ("key_0", "key_2")), ("key_2", ("key_0", "key_1"))):
        given = [rating(f"req_{name}", 0, key_id=other, at=at) for other, at in zip(others, (1, 9), strict=True)]
        assert rate(used, *given, rating(f"req_{name}", 1, key_id=name, at=5)) == 1
        assert exported(used)[f"req_{name}"] == (1.0, 5, name, "")
        assert rate(used, *given) == 0
    assert sums(used) == {(): (3, 1.0)}
    assert rows(used, "SELECT count(*) FROM usage_ratings_waiting") == [(0,)]


def test_a_rating_waits_for_its_request_for_a_day(used: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    search = RatingSearch(used, lambda: None)
    StoredUsage(used).change(lambda tables: tables.rate([rating("req_late", 1), rating("req_never", 1)]))
    now = time.time()
    assert search.look(now) == 0
    insert(used, [msgspec.structs.replace(make_record("req_late"), key_id="key_0")])
    assert search.look(now + 1) == 0  # it is looked for once a minute
    assert search.look(now + 61) == 1
    assert rows(used, "SELECT request_id FROM usage_ratings_waiting") == [("req_never",)]
    assert search.look(now + LONGEST_S + 200) == 0
    assert rows(used, "SELECT count(*) FROM usage_ratings_waiting") == [(0,)]


def test_of_ids_that_are_made_up_a_project_has_so_many(used: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings, "MOST_WAITING", 20)
    for start in (0, 15, 30):
        rate(used, *(rating(f"made-up-{at}", 1, at=at) for at in range(start, start + 15)))
    rate(used, rating("other", 1, key_id="key_1"))
    found = rows(used, "SELECT rated_at FROM usage_ratings_waiting WHERE project_id = 'proj_a' ORDER BY 1")
    assert found == [(at,) for at in range(25, 45)]
    assert rate(used, rating("req_key_0", 1, at=99)) == 1


def test_the_oldest_of_5001_that_wait_goes(used: Database) -> None:
    made_up = [rating(f"made-up-{at}", 1, at=at) for at in range(2, 5002)]
    assert rate(used, rating("req_key_0", 1, at=1), *made_up) == 0
    assert rows(used, "SELECT count(*), min(rated_at) FROM usage_ratings_waiting") == [(5000, 2)]
    assert rate(used, rating("req_key_0", 1, at=1), *made_up[1:]) == 0  # 5,000 wait already, all of them newer
    assert rate(used, rating("req_key_0", 1, at=9999)) == 1
    assert sums(used) == {(): (1, 1.0)}


def test_what_clients_write_is_kept_but_for_nul(used: Database) -> None:
    """PostgreSQL has no NUL in texts; all else that is Unicode is kept, and read again."""
    comment = "\0'\";--\\\n\r\t\x01\x7f\u2028\ufeff\U0010ffff👍" + "x" * 9_980
    assert rate(used, rating("none\0", 1, comment="\0"), rating("req_key_0", 0.5, comment=comment)) == 1
    assert exported(used)["req_key_0"] == (0.5, 1, "key_0", comment.replace("\0", "\ufffd"))
    assert rows(used, "SELECT request_id, comment FROM usage_ratings_waiting") == [("none\ufffd", "\ufffd")]


def test_requests_are_looked_for_in_windows_among_the_newest(used: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(used, [msgspec.structs.replace(make_record(f"more_{at}"), key_id="key_0") for at in range(50)])
    monkeypatch.setattr(rating_search, "WINDOW", 7)
    pauses: list[int] = []
    StoredUsage(used).change(lambda tables: tables.rate([rating("more_1", 1), rating("more_49", 0)]))
    assert RatingSearch(used, lambda: pauses.append(1)).look() == 2
    assert 7 <= len(pauses) <= 12
    monkeypatch.setattr(rating_search, "MOST_SOUGHT", 20)
    assert rate(used, rating("more_5", 1), rating("more_40", 1)) == 1


def test_sums_are_those_of_the_ratings_whatever_is_asked(used: Database) -> None:
    """By series, project and label, over all kinds of buckets."""
    requests = [each for each in some(300) if each.key_id != "key_2"]
    insert(used, requests)
    chance = random.Random(18)
    scores = {each.request_id: chance.randrange(MICRO + 1) for each in chance.sample(requests, 100)}
    of = {each.request_id: each.key_id for each in requests}
    for at in (1, 2):  # all of them again
        shifted = {name: (score + at) % (MICRO + 1) for name, score in scores.items()}
        assert rate(used, *(rating(name, score / MICRO, of[name], at) for name, score in shifted.items())) == 100

    def expected(value: object) -> dict[tuple[str | None, ...], tuple[int, float | None]]:
        found: dict[str | None, list[int]] = {}
        for each in (*requests, *(msgspec.structs.replace(make_record("x"), key_id=key) for key in HOLDERS)):
            there = found.setdefault(value(each), [])  # type: ignore[operator]
            if each.request_id in shifted:
                there.append(shifted[each.request_id])
        return {(name,): (len(all_), sum(all_) / MICRO / len(all_) if all_ else None) for name, all_ in found.items()}

    def team(record: UsageRecord) -> str | None:
        return dict((record.labels or Labels()).tags).get("team")

    asked = {
        "model": lambda each: each.model_served, "key": lambda each: each.key_id,
        "project": lambda each: HOLDERS[each.key_id][1],
        "end_user": lambda each: (each.labels or Labels()).user or None,
        "tag:team": team,
    }  # fmt: skip
    for name, value in asked.items():
        assert sums(used, group_by=(name,)) == expected(value), name
    for hours in (1, 24, 744):
        for table in ("usage_sums", "usage_project_sums"):
            total = rows(used, f"SELECT sum(rated), sum(score_micro) FROM {table} WHERE hours = {hours}")
            assert [tuple(map(int, row)) for row in total] == [(100, sum(shifted.values()))]


def test_ratings_go_with_their_requests_and_sums_stay(used: Database) -> None:
    rate(used, rating("req_key_0", 1, comment="text"), rating("req_key_1", 0, key_id="key_1", comment="text"))
    used.change(partial(set_rule, project="proj_a", days=COUNTS_ONLY))
    assert Sweeper(used, lambda: None).sweep() == 1
    assert rows(used, "SELECT key_id, comment FROM usage_ratings") == [("key_1", "text")]
    assert sums(used) == {(): (2, 0.5)}
    assert sums(used, group_by=("project",))[("proj_a",)] == (1, 1.0)
    # It is gone, so it cannot be rated again.
    assert rate(used, rating("req_key_0", 0, at=2, comment="more")) == 0
    assert sums(used) == {(): (2, 0.5)}


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ({"proj_a": COUNTS_ONLY}, {"key_1", "key_2"}),
        ({EVERYWHERE: COUNTS_ONLY, "proj_b": 30}, {"key_1"}),
        ({EVERYWHERE: 1, "proj_b": COUNTS_ONLY}, {"key_0", "key_2"}),
    ],
)
def test_where_only_counts_are_kept_no_comment_waits_for_long(
    used: Database, rules: dict[str, int], left: set[str]
) -> None:
    StoredUsage(used).change(lambda tables: tables.rate([rating("none", 1, key, comment="text") for key in HOLDERS]))
    for project, days in rules.items():
        used.change(partial(set_rule, project=project, days=days))
    for later_s, stay in ((60, set(HOLDERS)), (300, left)):
        Sweeper(used, lambda: None).sweep(time.time() + later_s)
        assert {key for (key,) in rows(used, "SELECT key_id FROM usage_ratings_waiting")} == stay
    before = used.stamp()
    Sweeper(used, lambda: None).sweep(time.time() + 600)
    assert used.stamp() == before  # where there is nothing to drop, nothing is written


def test_an_earlier_release_that_deletes_requests_leaves_no_rating(used: Database) -> None:
    """On PostgreSQL, which replicas of several releases share."""
    rate(used, rating("req_key_0", 1))
    if used.read(lambda connection: connection.dialect.name) == "postgresql":
        execute(used, "DELETE FROM usage_entries WHERE request_id = 'req_key_0'")
        assert rows(used, "SELECT count(*) FROM usage_ratings") == [(0,)]


def test_ratings_come_through_the_journal_once(home: Home, used: Database) -> None:
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.append(rating("req_a", 0.5))
    journal.append(msgspec.structs.replace(make_record("req_a"), key_id="key_0"))
    journal.append(rating("req_b", 1))
    journal.close()
    write(home, [msgspec.structs.replace(make_record("req_b"), key_id="key_0")])
    with (sorted(home.journal.glob("*.jsonl"))[0]).open("ab") as file:
        file.write(b'{"request_id":"req_b","key_id":"key_0","at":9,"score_micro":1000001}\n{"}\n')
    ingester = Ingester(StoredUsage(used), home.journal)
    assert ingester.run() == 2
    assert ingester.run() == 0
    assert rows(used, "SELECT count(*) FROM quarantine") == [(2,)]
    assert look(used) == 2
    assert sums(used) == {(): (2, 0.75)}
    assert rows(used, "SELECT count(*) FROM usage_entries WHERE request_id IN ('req_a', 'req_b')") == [(2,)]
