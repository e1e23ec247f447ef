"""Usage records as rows: kinds and entries, what was there before them, and lines that are no records."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec
import pytest
from journal_process import STARTED_AT, make_record
from sqlalchemy import Connection, select

from tests.fixtures.databases import execute, insert, plans, rows
from weebill.auto.comparison import compare
from weebill.auto.experiments import Experiment
from weebill.config.paths import Home
from weebill.storage import usage_names as names
from weebill.storage.comparison import ArmTables
from weebill.storage.database import Database
from weebill.storage.tables.ledger import USAGE_KINDS
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_names import MANY
from weebill.storage.usage_rows import KIND, MOST_BYTES, fingerprint
from weebill.storage.usage_totals import recent, summarise
from weebill.usage.ingest import Ingester
from weebill.usage.records import Labels, UsageRecord
from weebill.usage.tables import UsageTables
from weebill.usage.totals import Grouping, UsageEntry, UsageTotal

T = TypeVar("T")

UNLIKE_ANY = UsageRecord(
    "req-é", "key_2", "embeddings", "m1", "m2", "up", False, 20, 5, 9, False, 502, "upstream_error", STARTED_AT + 1, 7,
    8, 6, 4, 2**52, "a/b:500:12ms,c/d:200:9ms", "schema", "faster/control", "top_k,metadata", True, "tokens",
    Labels("ann", (("team", "a b"), ("é", ""))),
)  # fmt: skip
FASTER = Experiment("faster", "m1", "c", 0.5, False, "running", 0, 0)


def kinds(ledger: Database) -> int:
    [(count,)] = rows(ledger, "SELECT count(*) FROM usage_kinds")
    return int(count)


def newest(ledger: Database, limit: int, before: int | None = None) -> list[UsageEntry]:
    return ledger.read(partial(recent, limit=limit, before=before))


def totals(ledger: Database, by: Grouping) -> list[UsageTotal]:
    return ledger.read(partial(summarise, by=by))


def test_a_record_comes_back_as_it_went(ledger: Database) -> None:
    defaults = make_record("plain")
    mine, theirs = (msgspec.structs.asdict(record) for record in (UNLIKE_ANY, defaults))
    alike = {name for name, value in mine.items() if value == theirs[name]}
    assert alike == {"held"}  # which is not kept
    assert insert(ledger, [defaults, UNLIKE_ANY], []) == 2
    assert [entry.record for entry in newest(ledger, 10)] == [UNLIKE_ANY, defaults]


def test_names_that_clients_make_up_are_not_kept_without_end(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_NAMES", 10)

    def made_up(number: int, **more: object) -> UsageRecord:
        return msgspec.structs.replace(make_record(f"r{number}"), model_asked=f"free-{number}", **more)

    assert insert(ledger, [made_up(number) for number in range(100)]) == 100
    assert kinds(ledger) == 11
    # Another process knows nothing of them by itself.
    refused = [made_up(number, outcome="rejected", model_served=f"free-{number}") for number in range(100, 200)]
    dropped = [made_up(0, dropped=f"f{number}") for number in range(100)]
    insert(ledger, refused, dropped, [made_up(3), made_up(150, model_served="new")])
    said = [(each.record.model_asked, each.record.model_served, each.record.dropped) for each in newest(ledger, 400)]
    assert said[:3] == [(MANY, "new", ""), ("free-3", "tiny", ""), ("free-0", "tiny", MANY)]
    assert said[-1] == ("free-0", "tiny", "")
    assert {asked for asked, _, _ in said} == {MANY, *(f"free-{number}" for number in range(10))}
    assert kinds(ledger) < 50
    assert rows(ledger, "SELECT sum(requests) FROM usage_daily") == [(302,)]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_records_keep_their_order_and_share_their_kind(ledger: Database, count: int) -> None:
    records = [make_record(str(number), key_id=f"key_{number % 2}") for number in range(count)]
    usage = StoredUsage(ledger)
    assert usage.change(lambda tables: tables.insert([records[:7], records[7:]])) == count
    assert usage.change(lambda tables: tables.insert([records])) == count
    assert insert(ledger, records) == count
    found = newest(ledger, 1000)
    assert [entry.id for entry in found] == list(range(3 * count, 0, -1))
    assert [entry.record for entry in reversed(found)] == records * 3
    assert kinds(ledger) == min(count, 2)


def test_more_kinds_than_are_remembered(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weebill.storage.usage_entries.MAX_KINDS", 3)
    records = [make_record(str(number), key_id=f"key_{number % 10}") for number in range(50)]
    assert insert(ledger, records) == 50
    assert [entry.record for entry in reversed(newest(ledger, 100))] == records
    assert kinds(ledger) == 10
    assert {total.name: total.requests for total in totals(ledger, "key")} == {f"key_{n}": 5 for n in range(10)}


def test_a_kind_that_was_rolled_back_is_inserted_again(ledger: Database) -> None:
    usage = StoredUsage(ledger)

    def fail(tables: UsageTables) -> None:
        tables.insert([[make_record("a", key_id="first")]])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        usage.change(fail)
    # On SQLite another takes the id that was given back.
    records = [make_record("b", key_id="second"), make_record("c", key_id="first")]
    usage.change(lambda tables: tables.insert([records]))
    assert [entry.record.key_id for entry in newest(ledger, 10)] == ["first", "second"]
    assert [total.requests for total in totals(ledger, "key")] == [1, 1]


def test_a_change_that_is_made_again_counts_once(
    home: Home, ledger: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where somebody was in its way, or the file was replaced meanwhile."""
    change = ledger.change

    def twice(changed: Callable[[Connection], T]) -> T:
        def undone(connection: Connection) -> None:
            changed(connection)
            raise ZeroDivisionError

        with suppress(ZeroDivisionError):
            change(undone)
        return change(changed)

    monkeypatch.setattr(ledger, "change", twice)
    ingester = Ingester(StoredUsage(ledger), home.journal)
    for number, key in enumerate(("first", "second", "first")):
        lines = [msgspec.json.encode(make_record(str(number), key_id=key)), b"[]"]
        (home.journal / f"{number}-w0-00-000000.jsonl").write_bytes(b"\n".join([*lines, b""]))
        assert ingester.run() == 1
    assert [entry.record.key_id for entry in newest(ledger, 10)] == ["first", "second", "first"]
    assert {total.name: total.requests for total in totals(ledger, "key")} == {"first": 2, "second": 1}
    assert rows(ledger, "SELECT count(*) FROM quarantine") == [(3,)]
    assert len(caplog.records) == 3  # what was undone is not told of
    assert list(home.journal.iterdir()) == []


def test_the_rows_of_a_large_ledger_are_found_by_index(ledger: Database) -> None:
    """Neither the newest records nor those of an experiment's arm may take the longer the more there are of others."""
    of_arm = msgspec.structs.replace(UNLIKE_ANY, outcome="ok", cost_nano=1)
    others = msgspec.structs.replace(of_arm, arm="")
    insert(ledger, [of_arm] * 3, [others] * 20_000)
    execute(ledger, "ANALYZE")
    found = plans(ledger, lambda connection: recent(connection, 10, before=10))
    found += plans(ledger, lambda connection: compare(ArmTables(connection), FASTER))
    assert len(found) > 5
    for plan in found:
        assert any("SEARCH usage_entries" in step or "Index Scan" in step for step in plan), plan
        assert not [step for step in plan if "SCAN usage_entries" in step or "Seq Scan on usage_entries" in step], plan


BROKEN: list[tuple[dict[str, int], str]] = [
    ({"cached_tokens": 8, "cache_write_tokens": 3}, "a part of its tokens is more than the whole"),
    ({"reasoning_tokens": 4}, "a part of its tokens is more than the whole"),
    ({"prompt_tokens": -1, "cached_tokens": 0}, "prompt_tokens"),
    ({"prompt_tokens": 2**60, "cached_tokens": 2**61}, "a part of its tokens is more than the whole"),
    ({"completion_tokens": -1, "reasoning_tokens": -1}, "completion_tokens"),
    ({"cached_tokens": -1}, "cached_tokens"),
    ({"cache_write_tokens": -1}, "cache_write_tokens"),
    ({"reasoning_tokens": -1}, "reasoning_tokens"),
    ({"cost_nano": -1}, "cost_nano"),
]


def test_a_record_that_breaks_an_invariant_is_refused(home: Home, ledger: Database) -> None:
    for number, (changes, error) in enumerate(BROKEN):
        bad = msgspec.structs.replace(make_record("bad", key_id="of the bad one"), **changes)
        lines = b"".join(msgspec.json.encode(each) + b"\n" for each in (make_record("a"), bad, make_record("b")))
        (home.journal / f"1-w0-00-{number:06}.jsonl").write_bytes(lines)
        assert Ingester(StoredUsage(ledger), home.journal).run() == 2
        assert [entry.record.request_id for entry in newest(ledger, 10)] == ["b", "a"] * min(number + 1, 5)
        line, reason = rows(ledger, "SELECT line, error FROM quarantine ORDER BY id")[number]
        assert line == msgspec.json.encode(bad) + b"\n"
        # PostgreSQL names the first by its alphabet.
        assert error in reason or "violates check constraint" in reason, changes
        assert kinds(ledger) == 1
        sums = [(total.requests, total.prompt_tokens) for total in totals(ledger, "day")]
        assert sums == [(2 * (number + 1), 20 * (number + 1))]
    assert len(rows(ledger, "SELECT id FROM quarantine")) == len(BROKEN)


MOST = 2**53 - 1


ODD: list[tuple[dict[str, int | None], dict[str, int], str]] = [
        ({"prompt_tokens": 2**32 - 1}, {}, ""),
        ({"prompt_tokens": 2**32}, {}, "tokens"),
        ({"completion_tokens": 10**12, "reasoning_tokens": 10**12}, {}, "tokens"),
        ({"prompt_tokens": 10**30, "cached_tokens": 10**29, "cache_write_tokens": 10**29},
         {"prompt_tokens": MOST, "cached_tokens": MOST, "cache_write_tokens": 0}, "tokens"),
        ({"completion_tokens": 2**64, "reasoning_tokens": 2**63},
         {"completion_tokens": MOST, "reasoning_tokens": MOST}, "tokens"),
        ({"started_at": -1}, {}, "time"),
        ({"started_at": -(2**70), "prompt_tokens": 2**40}, {"started_at": -62_135_596_800_000_000}, "tokens,time"),
        ({"started_at": 2**70}, {"started_at": 253_402_300_799_000_000}, "time"),
        ({"cost_nano": 2**70}, {"cost_nano": MOST}, "cost"),
        ({"cost_nano": None}, {}, ""),
        ({"cost_nano": 7, "cost_reported": True}, {}, ""),
    ]  # fmt: skip


def test_what_cannot_be_so_is_kept_and_flagged(home: Home, ledger: Database) -> None:
    prompts = 0
    for number, (said, kept, flags) in enumerate(ODD):
        odd = msgspec.structs.replace(make_record("odd"), **said)
        lines = b"".join(msgspec.json.encode(each) + b"\n" for each in (make_record("a"), odd, make_record("b")))
        (home.journal / f"1-w0-00-{number:06}.jsonl").write_bytes(lines)
        assert Ingester(StoredUsage(ledger), home.journal).run() == 3
        assert rows(ledger, "SELECT * FROM quarantine") == []
        found = newest(ledger, 10)[1].record
        assert found == msgspec.structs.replace(odd, flags=flags, **kept)
        prompts += found.prompt_tokens + 20
        days = totals(ledger, "day")
        assert sum(day.requests for day in days) == 3 * (number + 1)
        assert sum(day.prompt_tokens for day in days) == prompts


def test_sums_have_an_end_and_no_overflow(ledger: Database) -> None:
    """Whatever upstreams report: more than 64 bits hold, in a batch, in a day, and over all days."""
    huge = msgspec.structs.replace(make_record("odd"), prompt_tokens=MOST, completion_tokens=MOST, cost_nano=MOST)
    usage = StoredUsage(ledger)
    for day in range(3):
        moved = msgspec.structs.replace(huge, started_at=STARTED_AT + day * 86_400_000_000)
        for _ in range(2):
            usage.change(lambda tables, moved=moved: tables.insert([[moved] * 1200]))  # type: ignore[misc]
    for total in totals(ledger, "model"):
        assert (total.requests, total.unpriced) == (7200, 0)
        assert (total.prompt_tokens, total.completion_tokens, total.cost_nano) == (2**63 - 1,) * 3


def test_what_is_not_known_of_a_cost_is_never_summed(ledger: Database) -> None:
    costs = [5, None, 7, None, 0]
    records = [msgspec.structs.replace(make_record(str(at)), cost_nano=cost) for at, cost in enumerate(costs)]
    insert(ledger, records)
    assert [entry.record.cost_nano for entry in reversed(newest(ledger, 10))] == costs
    [total] = totals(ledger, "model")
    assert (total.requests, total.cost_nano, total.unpriced) == (5, 12, 2)


def test_texts_that_a_database_does_not_take_are_fitted(home: Home, ledger: Database) -> None:
    odd = msgspec.structs.replace(
        make_record("r\0", model="m\0" + "é" * 100_000, key_id="k" * 10_000, outcome="rejected"),
        model_asked="a\0" + "a" * 100_000,
        attempts="\0",
    )
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(msgspec.json.encode(odd) + b"\n")
    assert Ingester(StoredUsage(ledger), home.journal).run() == 1
    [found] = [entry.record for entry in newest(ledger, 10)]
    assert found.model_served == "m\ufffd" + "é" * ((MOST_BYTES - 4) // 2)
    assert (found.key_id, found.model_asked) == ("k" * MOST_BYTES, "a\ufffd" + "a" * 100_000)
    assert found.request_id in ("r\0", "r\ufffd")
    assert [total.requests for total in totals(ledger, "model")] == [1]
    assert rows(ledger, "SELECT count(*) FROM quarantine") == [(0,)]


@pytest.mark.parametrize("field", ["status", "first_byte_us", "total_us"])
def test_numbers_that_no_database_takes_are_kept_apart(home: Home, ledger: Database, field: str) -> None:
    odd = msgspec.structs.replace(make_record("odd"), **{field: 2**63})
    lines = b"".join(msgspec.json.encode(each) + b"\n" for each in (make_record("a"), odd, make_record("b")))
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(lines)
    assert Ingester(StoredUsage(ledger), home.journal).run() == 2
    assert rows(ledger, "SELECT count(*) FROM quarantine") == [(1,)]


def test_a_kind_has_one_fingerprint_on_every_database(ledger: Database) -> None:
    insert(ledger, [UNLIKE_ANY, make_record("a")])
    columns = [USAGE_KINDS.c[name] for name in KIND]
    found = ledger.read(lambda connection: connection.execute(select(USAGE_KINDS.c.fingerprint, *columns)).fetchall())
    assert len(found) == 2
    for hashed, *values in found:
        assert hashed == fingerprint(values)
    # It is in databases, and so it never changes.
    assert "3397bebacf762c52e2ddffa102981449" in {hashed.hex() for hashed, *_ in found}


# Few, some and most of the lines are bad.
@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(each, marks=pytest.mark.slow) for each in range(3, 8))])
def test_bad_lines_are_found_wherever_they_are(home: Home, ledger: Database, seed: int) -> None:
    chance = random.Random(seed)
    lines, good, bad = b"", [], []
    count = 400 if ledger.read(lambda connection: connection.dialect.name) == "sqlite" else 40  # a trip for each try
    for number in range(count):
        if chance.random() < (0.01, 0.1, 0.9)[seed % 3]:
            junk = b"x" * chance.choice([0, 1, 30, 3000])
            bad.append((len(lines), b"[" + junk + b"\n"))
            lines += b"[" + junk + b"\n"
        else:
            good.append(make_record(str(number), key_id=f"key_{number % 3}"))
            lines += msgspec.json.encode(good[-1]) + b"\n"
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(lines)
    assert Ingester(StoredUsage(ledger), home.journal).run() == len(good)
    assert [entry.record for entry in reversed(newest(ledger, 1000))] == good
    assert rows(ledger, 'SELECT "offset", line FROM quarantine ORDER BY id') == bad
    assert sum(total.requests for total in totals(ledger, "key")) == len(good)


def test_lines_of_an_older_version_are_records(home: Home, ledger: Database) -> None:
    """Before cache writes, reasoning, costs, attempts, checks and arms: fields were only ever appended."""
    values = list(msgspec.structs.astuple(make_record("old")))
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(
        b"".join(msgspec.json.encode(values[:length]) + b"\n" for length in (16, 19, 22))
    )
    assert Ingester(StoredUsage(ledger), home.journal).run() == 3
    assert [entry.record for entry in newest(ledger, 10)] == [make_record("old")] * 3
