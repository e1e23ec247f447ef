"""Allowances in the ledger, on each kind of database: lent, settled with the records, called back, released."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw
from sqlalchemy import select

from tests.fixtures.records import RECORD
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings, MeteringSettings
from weebill.ledger.allowances import Allowances
from weebill.limits.limit import Limit, Measure, Window
from weebill.limits.questions import Borrow, Granted, Lent, Recalled, Wanted
from weebill.limits.setting import Limits
from weebill.limits.windows import window_at
from weebill.process.questions import Position, Unanswered, encode
from weebill.storage.database import Database
from weebill.storage.keys import find_active, keys_in
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.usage import StoredUsage
from weebill.storage.versions import Positions
from weebill.usage.ingest import Ingester
from weebill.usage.journal import JournalFull, JournalWriter
from weebill.usage.records import Intent, UsageRecord

BEGAN = 1_800_000_000  # in Unix seconds
DYING = """
import sys
from pathlib import Path
from weebill.config.schema import MeteringSettings
from weebill.usage.journal import JournalWriter
from weebill.usage.records import Intent
journal = JournalWriter(Path(sys.argv[1]), 0, MeteringSettings())
journal.intents.make_room()
key, began, held = sys.argv[2:]
journal.intend(Intent("req_dying", key, "chat.completions", "m", "m", "acme", False, int(began), 40, held))
print(journal.name, flush=True)
sys.stdin.read()
"""


class Lending:
    """The ledger process's side of a home, and workers that borrow."""

    def __init__(self, home: Home, ledger: Database) -> None:
        self.home = home
        self.ledger = ledger
        keys = keys_in(ledger, home)
        self.key = keys.create("spender").key
        self.limits = Limits(StoredLimits(ledger), lambda: BEGAN)
        self.allowances = Allowances(ledger, Positions(ledger), home.journal, "here-1")
        self.number = 0

    def limit(self, amount: int, measure: Measure = "spend", window: Window = "day") -> Limit:
        return self.limits.set(self.key.id, measure, window, amount)

    def worker(self) -> JournalWriter:
        journal = JournalWriter(self.home.journal, 0, MeteringSettings())
        journal.intents.make_room()
        return journal

    def borrow(self, borrower: str, limit: Limit, used: int, need: int = 0, *, ended: bool = False) -> Granted:
        self.number += 1
        start, _ = window_at(limit.window, BEGAN)
        wanted = Wanted(limit.id, start, used, need, need, ended)
        question = Borrow(borrower, self.number, (wanted,))
        lent = msgspec.msgpack.decode(self.allowances.answer(Raw(encode(question))), type=Lent)
        [granted] = lent.granted
        return granted

    def ingest(self) -> int:
        return Ingester(StoredUsage(self.ledger), self.home.journal, cost=lambda *_: 7).run()

    def record(self, limit: Limit, cost: int, number: int = 0) -> UsageRecord:
        return msgspec.structs.replace(
            RECORD,
            request_id=f"req_{number}",
            key_id=self.key.id,
            started_at=BEGAN * 1_000_000,
            cost_nano=cost,
            held=str(limit.id),
        )


@pytest.fixture
def lending(home: Home, ledger: Database) -> Lending:
    return Lending(home, ledger)


def test_what_is_lent_is_settled_by_the_records(lending: Lending) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    granted = lending.borrow(worker.name, limit, 0, 100)
    assert granted.granted == 100 + 900 // 4
    assert granted.available == 1000 - granted.granted
    worker.append(lending.record(limit, 60))
    lending.ingest()
    state = lending.limits.show(limit.id)
    assert (state.used, state.reserved, state.left) == (60, granted.granted - 60, 1000 - granted.granted)
    worker.close()
    lending.ingest()
    assert not list(lending.home.journal.iterdir())
    state = lending.limits.show(limit.id)
    assert (state.used, state.reserved, state.left) == (60, 0, 940)


def test_a_question_that_is_put_twice_changes_nothing(lending: Lending) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    first = lending.borrow(worker.name, limit, 0, 100)
    again = lending.borrow(worker.name, limit, 0, 100)
    assert (again.granted, again.available) == (first.granted, first.available)
    back = lending.borrow(worker.name, limit, 40)
    assert (back.granted, back.available) == (40, 960)
    assert lending.borrow(worker.name, limit, 40).granted == 40


def test_a_question_that_was_overtaken_changes_nothing(lending: Lending) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    granted = lending.borrow(worker.name, limit, 0, 100)
    lending.number = 0
    assert lending.borrow(worker.name, limit, 0).granted == granted.granted


@pytest.mark.parametrize("amount", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_all_of_it_is_lent_in_the_end_and_not_one_more(lending: Lending, amount: int) -> None:
    limit, workers = lending.limit(amount), [lending.worker() for _ in range(4)]
    used = [0, 0, 0, 0]
    for turn in range(4 * amount):
        at = turn % 4
        granted = lending.borrow(workers[at].name, limit, used[at], 1)
        if granted.granted == used[at]:  # the others are to give back what they do not use
            for other in range(4):
                lending.borrow(workers[other].name, limit, used[other])
            if lending.borrow(workers[at].name, limit, used[at], 1).granted == used[at]:
                break
        used[at] += 1
    assert sum(used) == amount


def test_who_holds_what_others_need_is_told(lending: Lending) -> None:
    limit, one, two = lending.limit(1000), lending.worker(), lending.worker()
    feed = lending.allowances.feed(Raw(encode(Position())))
    news = feed.news()
    assert news is not None
    assert msgspec.msgpack.decode(news, type=Recalled).limits is None
    lending.borrow(one.name, limit, 0, 900)
    assert feed.news() is None
    short = lending.borrow(two.name, limit, 0, 500)
    assert (short.granted, short.lent) == (0, 925)
    news = feed.news()
    assert news is not None
    assert msgspec.msgpack.decode(news, type=Recalled).limits == (limit.id,)
    assert feed.news() is None
    assert lending.borrow(one.name, limit, 100).available == 900
    assert lending.borrow(two.name, limit, 0, 500).granted >= 500


def test_a_worker_that_is_killed_is_settled_before_its_rest_comes_back(lending: Lending) -> None:
    limit = lending.limit(1000)
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", DYING, str(lending.home.journal), lending.key.id),
            *(str(BEGAN * 1_000_000), str(limit.id)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    granted = lending.borrow(name, limit, 0, 100)
    lending.ingest()
    assert lending.limits.show(limit.id).reserved == granted.granted
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(Unanswered):
        lending.borrow(name, limit, 0, 200)
    assert lending.ingest() == 1
    state = lending.limits.show(limit.id)
    assert (state.used, state.reserved, state.left) == (7, 0, 993)


def test_a_kill_between_release_and_removal_leaves_nothing(lending: Lending, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    lending.borrow(worker.name, limit, 0, 100)
    worker.append(lending.record(limit, 60))
    worker.close()
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".jsonl":
            raise OSError("killed")
        unlink(path, missing_ok)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", killed)
        with pytest.raises(OSError, match="killed"):
            lending.ingest()
    lending.ingest()
    assert not list(lending.home.journal.iterdir())
    state = lending.limits.show(limit.id)
    assert (state.used, state.reserved) == (60, 0)


@pytest.mark.parametrize("step", ["_let_go", "leave"])
def test_a_worker_that_leaves_keeps_nothing_whenever_its_journal_is_read(
    lending: Lending, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    worker.append(lending.record(limit, 60))
    lending.borrow(worker.name, limit, 0, 100)
    lending.ingest()
    owner = worker.intents if step == "leave" else worker
    done = getattr(owner, step)

    def read_after(**how: bool) -> None:
        done(**how)
        lending.ingest()

    monkeypatch.setattr(owner, step, read_after)
    worker.close()
    lending.ingest()
    assert not list(lending.home.journal.iterdir())
    assert lending.limits.show(limit.id).reserved == 0


def test_a_worker_that_leaves_while_nothing_can_be_written_keeps_nothing(
    lending: Lending, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    lending.borrow(worker.name, limit, 0, 100)
    monkeypatch.setattr("weebill.usage.journal.folder_bytes", lambda _: 2**60)
    with pytest.raises(JournalFull):
        worker._rotate()
    lending.ingest()
    worker.close()
    lending.ingest()
    assert not list(lending.home.journal.iterdir())
    assert lending.limits.show(limit.id).reserved == 0


def test_an_upstream_that_charges_more_is_settled_all_the_same(lending: Lending) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    lending.borrow(worker.name, limit, 0, 1000)
    worker.append(lending.record(limit, 1500))
    lending.ingest()
    state = lending.limits.show(limit.id)
    assert (state.used, state.reserved, state.left) == (1500, 0, 0)
    assert lending.borrow(worker.name, limit, 1500, 1).granted == 1000
    lending.limit(2000)
    assert lending.borrow(worker.name, limit, 1500, 1).granted > 1500


def test_a_lease_ends_once_all_of_it_is_in_the_ledger(lending: Lending) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    lending.borrow(worker.name, limit, 0, 100)
    worker.append(lending.record(limit, 60))
    assert not lending.borrow(worker.name, limit, 60, ended=True).gone
    lending.ingest()
    ended = lending.borrow(worker.name, limit, 60, ended=True)
    assert (ended.gone, ended.granted, ended.available) == (True, 0, 940)


def test_a_lowered_limit_lends_no_more(lending: Lending) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    granted = lending.borrow(worker.name, limit, 0, 100).granted
    lending.limit(50)
    assert lending.borrow(worker.name, limit, 10).available == 40
    assert lending.borrow(worker.name, limit, 10, 41).granted == 10
    assert lending.borrow(worker.name, limit, 10, 40).granted == 50
    assert granted > 50


def test_a_limit_that_is_gone_holds_nobody(lending: Lending) -> None:
    limit, worker = lending.limit(1000), lending.worker()
    lending.limits.remove(limit.id)
    assert lending.borrow(worker.name, limit, 0, 100).gone


def test_spend_of_before_counts_and_its_window_alone(lending: Lending) -> None:
    plain = lending.limit(10**9, "requests", "none")
    worker = lending.worker()
    today = lending.record(plain, 60, 1)
    yesterday = msgspec.structs.replace(lending.record(plain, 500, 2), started_at=(BEGAN - 86_400) * 1_000_000)
    worker.append(today)
    worker.append(yesterday)
    lending.ingest()
    assert lending.limits.show(lending.limit(1000).id).used == 60
    assert lending.limits.show(lending.limit(1000, "spend", "none").id).used == 560
    tokens = RECORD.prompt_tokens + RECORD.completion_tokens
    assert lending.limits.show(lending.limit(1000, "tokens", "day").id).used == tokens
    assert lending.limits.show(plain.id).used == 2


def test_limits_are_those_of_the_key_its_project_and_its_organisation(lending: Lending) -> None:
    own = lending.limit(5)
    project = lending.limits.set(lending.key.project_id, "spend", "day", 50)
    organisation = lending.limits.set("org_default", "spend", "day", 500)
    digest = select(API_KEYS.c.digest).where(API_KEYS.c.id == lending.key.id)
    found = find_active(lending.ledger, lending.ledger.read(lambda connection: connection.execute(digest).scalar_one()))
    assert found is not None
    assert found.limits == (own, project, organisation)


def test_two_machines_lend_no_more_than_there_is(
    tmp_path: Path, lending: Lending, database_settings: DatabaseSettings
) -> None:
    limit = lending.limit(1000, "requests")
    homes = [Home(tmp_path / name) for name in ("one", "two")]
    for home in homes:
        home.create()
    settings = database_settings if database_settings.url else DatabaseSettings()

    def machine(home: Home) -> int:
        at = home if settings.url else lending.home
        with open_ledger(at, settings) as ledger:
            allowances = Allowances(ledger, Positions(ledger), home.journal, home.root.name)
            journal = JournalWriter(home.journal, 0, MeteringSettings())
            journal.intents.make_room()
            start, _ = window_at(limit.window, BEGAN)
            granted = 0
            for number in range(60):
                question = Borrow(journal.name, number, (Wanted(limit.id, start, granted, 7, 1),))
                lent = msgspec.msgpack.decode(allowances.answer(Raw(encode(question))), type=Lent)
                granted = lent.granted[0].granted
            journal.close()
            return granted

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(machine, homes))
    assert sum(found) == 1000
    assert lending.limits.show(limit.id).left == 0


def test_the_intent_of_a_request_fits_whatever_it_is_held_to(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, 0, MeteringSettings())
    held = ",".join(str(99_990 + each) for each in range(40))
    long = "m" * 200
    slot = journal.intend(
        Intent("r" * 36, "key_" + "k" * 20, "chat.completions", long, long, long, True, 2**53, 2**40, held)
    )
    table = (tmp_path / f"{journal.name}.open").read_bytes()
    line = table[slot * 512 + 8 : slot * 512 + 512].partition(b"\n")[0]
    found = msgspec.json.decode(line, type=Intent)
    assert found.held == held
    assert found.key_id == "key_" + "k" * 20
    journal.close()
