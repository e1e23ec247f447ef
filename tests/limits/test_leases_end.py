"""Leases that a worker ends: whichever answers are lost, what it has used is held once, and nothing stays held."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec import Raw

from tests.fixtures.databases import on_sqlite
from tests.limits.test_borrowing import BEGAN, Lending
from weebill.config.paths import Home
from weebill.limits.book import Book
from weebill.limits.limit import Limit
from weebill.limits.questions import Borrow
from weebill.limits.slices import Allowed
from weebill.process.questions import Unanswered, encode
from weebill.storage.database import Database
from weebill.usage.journal import JournalWriter


@pytest.fixture
def lending(home: Home, ledger: Database) -> Lending:
    return Lending(home, ledger)


class Worker:
    """A worker's book and journal; an answer is lost, or a question, if `loses` says so."""

    def __init__(self, lending: Lending, limit: Limit) -> None:
        self.lending = lending
        self.limit = limit
        self.journal: JournalWriter = lending.worker()
        self.book = Book(self.journal.name, self.ask, lambda: None)
        self.loses = ""
        self.now = float(BEGAN)
        self.requests = 0

    async def ask(self, topic: str, question: object) -> Raw:
        assert isinstance(question, Borrow)
        ending = any(each.ended for each in question.wanted)
        if ending and self.loses == "question":
            raise Unanswered("lost")
        answer = self.lending.allowances.answer(Raw(encode(question)))
        if ending and self.loses == "answer":
            raise Unanswered("lost")
        return Raw(answer)

    async def serve(self, most: int, cost: int, *, cached: int = 0) -> None:
        """One request, whose record is ingested."""
        hold = self.book.hold(Allowed((self.limit,)), "gpt", BEGAN * 1_000_000)
        waiting = hold.cover(most, most)
        if waiting is not None:
            await waiting
        self.requests += 1
        record = self.lending.record(self.limit, cost, self.requests)
        record = msgspec.structs.replace(
            record, prompt_tokens=cost + cached, cached_tokens=0, cache_write_tokens=0, completion_tokens=0,
            reasoning_tokens=0, request_id=f"{self.journal.name}-{self.requests}",
        )  # fmt: skip
        self.journal.append(record)
        hold.settle("ok", cost + cached, cost)
        self.lending.ingest()

    async def idles(self, sweeps: int = 3) -> None:
        for _ in range(sweeps):
            self.now += 10
            self.book.tend(self.now)
            for _ in range(20):
                await asyncio.sleep(0)

    def stands(self) -> tuple[int, int, int]:
        state = self.lending.limits.show(self.limit.id)
        return state.used, state.reserved, state.left


@on_sqlite
@pytest.mark.parametrize("lost", ["", "question", "answer"])
@pytest.mark.parametrize("again", [0, 1, 2])
async def test_nothing_stays_held_whatever_is_lost_of_the_end_of_a_lease(
    lending: Lending,
    lost: str,
    again: int,
) -> None:
    worker = Worker(lending, lending.limit(1000, "spend"))
    await worker.serve(100, 60)
    worker.loses = lost
    await worker.idles(2 + again)
    worker.loses = ""
    await worker.serve(100, 30)
    await worker.serve(100, 10)
    await worker.idles()
    assert worker.stands() == (100, 0, 900)
    await worker.serve(900, 900)
    assert worker.stands() == (1000, 0, 0)


@on_sqlite
@pytest.mark.parametrize("lost", ["", "question", "answer"])
@pytest.mark.parametrize("first", [0, 100], ids=["without-a-lease", "with-a-lease"])
async def test_what_was_used_without_being_lent_is_held_once(lending: Lending, lost: str, first: int) -> None:
    worker = Worker(lending, lending.limit(1000, "tokens"))
    worker.loses = lost
    if first:
        await worker.serve(first, 0)
        await worker.idles()
    await worker.serve(0, 0, cached=60)
    await worker.idles()
    worker.loses = ""
    await worker.serve(0, 0, cached=40)
    await worker.serve(100, 100)
    await worker.idles()
    assert worker.stands() == (200, 0, 800)
    await worker.serve(800, 800)
    assert worker.stands() == (1000, 0, 0)
