"""Usage records as rows: kinds and entries, what was there before them, and lines that are no records."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest
from journal_process import STARTED_AT, make_record
from weebill.storage.migrations import MIGRATIONS

from weebill.auto.comparison import compare
from weebill.auto.experiments import Experiment
from weebill.config.paths import Home
from weebill.storage import usage_names as names
from weebill.storage.comparison import ArmTables
from weebill.storage.database import open_ledger, transaction
from weebill.storage.usage import UsageTables
from weebill.storage.usage_entries import Entries
from weebill.storage.usage_names import MANY
from weebill.storage.usage_totals import recent, summarise
from weebill.usage.ingest import Ingester
from weebill.usage.records import UsageRecord

BEFORE_KINDS = 5  # the schema in which a record was one row
UNLIKE_ANY = UsageRecord(
    "req-é", "key_2", "embeddings", "m1", "m2", "up", False, 20, 5, 9, False, 502, "upstream_error", STARTED_AT + 1, 7,
    8, 6, 4, 2**52, "a/b:500:12ms,c/d:200:9ms", "schema", "faster/control", "top_k,metadata", True, "tokens",
)  # fmt: skip


@pytest.fixture
def ledger(home: Home) -> Iterator[sqlite3.Connection]:
    with closing(open_ledger(home.database)) as connection:
        yield connection


def kinds(ledger: sqlite3.Connection) -> int:
    return int(ledger.execute("SELECT count(*) FROM usage_kinds").fetchone()[0])


def test_a_record_comes_back_as_it_went(ledger: sqlite3.Connection) -> None:
    defaults = make_record("plain")
    assert all(
        mine != theirs
        for mine, theirs in zip(msgspec.structs.astuple(UNLIKE_ANY), msgspec.structs.astuple(defaults), strict=True)
    )
    assert Entries(ledger).insert([[defaults, UNLIKE_ANY], []]) == 2
    assert [entry.record for entry in recent(ledger, 10)] == [UNLIKE_ANY, defaults]


def test_names_that_clients_make_up_are_not_kept_without_end(
    ledger: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "MOST_NAMES", 10)

    def made_up(number: int, **more: object) -> UsageRecord:
        return msgspec.structs.replace(make_record(f"r{number}"), model_asked=f"free-{number}", **more)

    entries = Entries(ledger)
    assert entries.insert([[made_up(number) for number in range(100)]]) == 100
    assert kinds(ledger) == 11
    entries = Entries(ledger)  # of another process, which knows nothing of them by itself
    refused = [made_up(number, outcome="rejected", model_served=f"free-{number}") for number in range(100, 200)]
    dropped = [made_up(0, dropped=f"f{number}") for number in range(100)]
    entries.insert([refused, dropped, [made_up(3), made_up(150, model_served="new")]])
    said = [(each.record.model_asked, each.record.model_served, each.record.dropped) for each in recent(ledger, 400)]
    assert said[:3] == [(MANY, "new", ""), ("free-3", "tiny", ""), ("free-0", "tiny", MANY)]
    assert said[-1] == ("free-0", "tiny", "")
    assert {asked for asked, _, _ in said} == {MANY, *(f"free-{number}" for number in range(10))}
    assert kinds(ledger) < 50
    assert ledger.execute("SELECT sum(requests) FROM usage_daily").fetchone() == (302,)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_records_keep_their_order_and_share_their_kind(ledger: sqlite3.Connection, count: int) -> None:
    records = [make_record(str(number), key_id=f"key_{number % 2}") for number in range(count)]
    entries = Entries(ledger)
    assert entries.insert([records[:7], records[7:]]) == count
    assert entries.insert([records]) == count
    assert Entries(ledger).insert([records]) == count
    found = recent(ledger, 1000)
    assert [entry.id for entry in found] == list(range(3 * count, 0, -1))
    assert [entry.record for entry in reversed(found)] == records * 3
    assert kinds(ledger) == min(count, 2)


def test_more_kinds_than_are_remembered(ledger: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weebill.storage.usage_entries.MAX_KINDS", 3)
    records = [make_record(str(number), key_id=f"key_{number % 10}") for number in range(50)]
    assert Entries(ledger).insert([records]) == 50
    assert [entry.record for entry in reversed(recent(ledger, 100))] == records
    assert kinds(ledger) == 10
    assert {total.name: total.requests for total in summarise(ledger, "key")} == {f"key_{n}": 5 for n in range(10)}


def test_a_kind_that_was_rolled_back_is_inserted_again(ledger: sqlite3.Connection) -> None:
    entries = Entries(ledger)

    def fail() -> None:
        with transaction(ledger):
            entries.insert([[make_record("a", key_id="first")]])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    entries.forget()
    # Another takes the id that was given back.
    entries.insert([[make_record("b", key_id="second"), make_record("c", key_id="first")]])
    assert [entry.record.key_id for entry in recent(ledger, 10)] == ["first", "second"]


def test_what_was_recorded_before_there_were_kinds_is_still_there(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = UsageRecord.__struct_fields__[:-3]  # all but `dropped` and what came later
    old = [make_record("old-1"), msgspec.structs.replace(UNLIKE_ANY, dropped="", cost_reported=False, flags="")]
    with monkeypatch.context() as patch:
        patch.setattr("weebill.storage.database.MIGRATIONS", MIGRATIONS[:BEFORE_KINDS])
        with closing(open_ledger(home.database)) as ledger:
            ledger.executemany(
                f"INSERT INTO usage ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                [msgspec.structs.astuple(record)[:-3] for record in old],
            )
    with closing(open_ledger(home.database)) as ledger:
        assert [entry.record for entry in recent(ledger, 10)] == old[::-1]
        new = [make_record("new-1"), msgspec.structs.replace(UNLIKE_ANY, request_id="new-2")]
        Entries(ledger).insert([new])
        assert [entry.id for entry in recent(ledger, 10)] == [4, 3, 2, 1]
        pages = [recent(ledger, 3), recent(ledger, 3, before=2)]
        assert [entry.record for page in pages for entry in page] == (old + new)[::-1]
        arms = compare(ArmTables(ledger), Experiment("faster", "m1", "c", 0.5, False, "running", 0, 0))
        assert arms.control.requests == 2


def test_the_rows_of_a_large_ledger_are_found_by_index(ledger: sqlite3.Connection) -> None:
    """Neither the newest records nor those of an experiment's arm may take the longer the more there are of others."""
    statements: list[str] = []
    Entries(ledger).insert([[msgspec.structs.replace(UNLIKE_ANY, outcome="ok", cost_nano=1)] * 3])
    ledger.set_trace_callback(statements.append)
    recent(ledger, 10, before=2)
    compare(ArmTables(ledger), Experiment("faster", "m1", "c", 0.5, False, "running", 0, 0))
    ledger.set_trace_callback(None)
    asked = [statement for statement in statements if "FROM usage " in statement]
    assert len(asked) > 5
    for statement in asked:
        plan = [row[3] for row in ledger.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert any(step.startswith("SEARCH entry ") for step in plan)
        assert not [step for step in plan if step.startswith(("SCAN entry", "SCAN usage_before_kinds"))]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"cached_tokens": 8, "cache_write_tokens": 3}, "a part of its tokens is more than the whole"),
        ({"reasoning_tokens": 4}, "a part of its tokens is more than the whole"),
        ({"prompt_tokens": -1, "cached_tokens": 0}, "prompt_tokens"),
        ({"prompt_tokens": 2**60, "cached_tokens": 2**61}, "a part of its tokens is more than the whole"),
        ({"completion_tokens": -1, "reasoning_tokens": -1}, "completion_tokens"),
        ({"cached_tokens": -1}, "cached_tokens"),
        ({"cache_write_tokens": -1}, "cache_write_tokens"),
        ({"reasoning_tokens": -1}, "reasoning_tokens"),
        ({"cost_nano": -1}, "cost_nano"),
    ],
)
def test_a_record_that_breaks_an_invariant_is_refused(
    home: Home, ledger: sqlite3.Connection, changes: dict[str, int], error: str
) -> None:
    bad = msgspec.structs.replace(make_record("bad", key_id="of the bad one"), **changes)
    lines = b"".join(msgspec.json.encode(each) + b"\n" for each in (make_record("a"), bad, make_record("b")))
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(lines)
    assert Ingester(UsageTables(ledger), home.journal).run() == 2
    assert [entry.record.request_id for entry in recent(ledger, 10)] == ["b", "a"]
    [(line, reason)] = ledger.execute("SELECT line, error FROM quarantine").fetchall()
    assert line == msgspec.json.encode(bad) + b"\n"
    assert error in reason
    assert kinds(ledger) == 1
    assert [(total.requests, total.prompt_tokens) for total in summarise(ledger, "day")] == [(2, 20)]


MOST = 2**53 - 1


@pytest.mark.parametrize(
    ("said", "kept", "flags"),
    [
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
    ],
)  # fmt: skip
def test_what_cannot_be_so_is_kept_and_flagged(
    home: Home, ledger: sqlite3.Connection, said: dict[str, int | None], kept: dict[str, int], flags: str
) -> None:
    odd = msgspec.structs.replace(make_record("odd"), **said)
    lines = b"".join(msgspec.json.encode(each) + b"\n" for each in (make_record("a"), odd, make_record("b")))
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(lines)
    assert Ingester(UsageTables(ledger), home.journal).run() == 3
    assert ledger.execute("SELECT * FROM quarantine").fetchall() == []
    found = recent(ledger, 10)[1].record
    assert found == msgspec.structs.replace(odd, flags=flags, **kept)
    days = summarise(ledger, "day")
    assert sum(day.requests for day in days) == 3
    assert sum(day.prompt_tokens for day in days) == found.prompt_tokens + 20


def test_sums_have_an_end_and_no_overflow(ledger: sqlite3.Connection) -> None:
    """Whatever upstreams report: more than 64 bits hold, in a batch, in a day, and over all days."""
    huge = msgspec.structs.replace(make_record("odd"), prompt_tokens=MOST, completion_tokens=MOST, cost_nano=MOST)
    entries = Entries(ledger)
    for day in range(3):
        moved = msgspec.structs.replace(huge, started_at=STARTED_AT + day * 86_400_000_000)
        for _ in range(2):
            entries.insert([[moved] * 1200])
    for total in summarise(ledger, "model"):
        assert (total.requests, total.unpriced) == (7200, 0)
        assert (total.prompt_tokens, total.completion_tokens, total.cost_nano) == (2**63 - 1,) * 3


def test_what_is_not_known_of_a_cost_is_never_summed(ledger: sqlite3.Connection) -> None:
    costs = [5, None, 7, None, 0]
    records = [msgspec.structs.replace(make_record(str(at)), cost_nano=cost) for at, cost in enumerate(costs)]
    Entries(ledger).insert([records])
    assert [entry.record.cost_nano for entry in reversed(recent(ledger, 10))] == costs
    [total] = summarise(ledger, "model")
    assert (total.requests, total.cost_nano, total.unpriced) == (5, 12, 2)


@pytest.mark.parametrize("version", range(BEFORE_KINDS + 1, len(MIGRATIONS)))
def test_entries_of_every_former_schema_stay_where_they_are(
    home: Home, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("weebill.storage.database.MIGRATIONS", MIGRATIONS[:version])
        with closing(open_ledger(home.database)) as ledger:
            columns = [row[1] for row in ledger.execute("PRAGMA table_info(usage_kinds)")]
            values = {"stream": 1, "measured": 1, "status": 200, "outcome": "ok"}
            ledger.execute(
                f"INSERT INTO usage_kinds ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                [1, *(values.get(column, "") for column in columns[1:])],
            )
            ledger.execute(
                "INSERT INTO usage_entries (id, kind, request_id, prompt_tokens, cached_tokens, completion_tokens, "
                "started_at, first_byte_us, total_us, cache_write_tokens, reasoning_tokens, cost_nano, attempts, arm) "
                "VALUES (41, 1, 'old', 10, 4, 3, ?, 7, 8, 0, 0, 9, '', '')",
                (STARTED_AT,),
            )
    with closing(open_ledger(home.database)) as ledger:
        Entries(ledger).insert([[make_record("new")]])
        found = recent(ledger, 10)
        assert [(entry.id, entry.record.request_id) for entry in found] == [(42, "new"), (41, "old")]
        assert (found[1].record.cost_nano, found[1].record.flags) == (9, "")


@pytest.mark.parametrize("seed", range(8))
def test_bad_lines_are_found_wherever_they_are(home: Home, ledger: sqlite3.Connection, seed: int) -> None:
    chance = random.Random(seed)
    lines, good, bad = b"", [], []
    for number in range(400):
        if chance.random() < (0.01, 0.1, 0.9)[seed % 3]:
            junk = b"x" * chance.choice([0, 1, 30, 3000])
            bad.append((len(lines), b"[" + junk + b"\n"))
            lines += b"[" + junk + b"\n"
        else:
            good.append(make_record(str(number), key_id=f"key_{number % 3}"))
            lines += msgspec.json.encode(good[-1]) + b"\n"
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(lines)
    assert Ingester(UsageTables(ledger), home.journal).run() == len(good)
    assert [entry.record for entry in reversed(recent(ledger, 1000))] == good
    assert ledger.execute("SELECT offset, line FROM quarantine ORDER BY id").fetchall() == bad
    assert sum(total.requests for total in summarise(ledger, "key")) == len(good)


def test_lines_of_an_older_version_are_records(home: Home, ledger: sqlite3.Connection) -> None:
    """Before cache writes, reasoning, costs, attempts, checks and arms: fields were only ever appended."""
    values = list(msgspec.structs.astuple(make_record("old")))
    (home.journal / "1-w0-00-000000.jsonl").write_bytes(
        b"".join(msgspec.json.encode(values[:length]) + b"\n" for length in (16, 19, 22))
    )
    assert Ingester(UsageTables(ledger), home.journal).run() == 3
    assert [entry.record for entry in recent(ledger, 10)] == [make_record("old")] * 3
