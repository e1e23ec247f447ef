"""Workers that borrow, spend, die and come back, in any order: nothing is overspent, and all of it can be spent."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from msgspec import Raw
from sqlalchemy import select

from tests.fixtures.ledger import SQLITE
from weebill.config.paths import Home
from weebill.limits.book import Book
from weebill.limits.counting import Counted
from weebill.limits.hold import Hold
from weebill.limits.limit import Limit
from weebill.limits.questions import Borrow, Lent, Recalled
from weebill.limits.setting import Limits
from weebill.limits.slices import Allowed, Short
from weebill.limits.windows import DAY_S
from weebill.process.questions import Unanswered, encode
from weebill.storage.allowances import borrow, recalled_since, release, settle
from weebill.storage.keys import open_keys
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger
from weebill.storage.tables.limits import LEASES

FIRST_DAY = 20_000
WORKERS = st.integers(0, 3)
COSTS = st.integers(0, 60)
AMOUNTS = st.integers(0, 300)  # of a few requests, so that it is used up again and again
ENDING = st.integers(0, 3)
TURNS = 20  # of the event loop: more than one question takes


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@dataclass
class Held:
    """A request under way: who serves it, when it began, and the most that it may cost."""

    worker: Worker
    hold: Hold
    day: int
    most: int
    over: bool = False


@dataclass(eq=False)
class Worker:
    """One life of a worker: what it has recorded and is not ingested yet, and how answers get to it."""

    name: str
    book: Book
    records: list[tuple[str, int, int]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    loses: int = 0
    dead: bool = False
    answers: asyncio.Semaphore | None = None  # one for each that may come, if they come late


class Spending(RuleBasedStateMachine):
    """Four workers and a limit of spend for each day."""

    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        home = Home(Path(self.folder.name) / "home")
        home.create()
        with open_keys(home, SQLITE) as keys:
            self.key = keys.create("spender").key.id
        self.ledger = open_ledger(home, SQLITE)
        self.day = FIRST_DAY
        self.now_s = 0.0  # by the clock of the books: how fast the machine is makes no difference
        self.limits = Limits(StoredLimits(self.ledger), lambda: self.day * DAY_S + 10)
        self.loop = asyncio.new_event_loop()
        self.lives = 0
        self.spent: dict[int, int] = {}
        self.most: dict[int, int] = {}  # the highest that the limit was in each day
        self.beyond: dict[int, int] = {}  # what upstreams have charged beyond the most
        self.settled: dict[int, int] = {}

    @initialize(amount=AMOUNTS)
    def begin(self, amount: int) -> None:
        self.limit = self.limits.set(self.key, "spend", "day", amount)
        self.workers = [self.born() for _ in range(4)]

    def born(self) -> Worker:
        self.lives += 1
        name = f"w{self.lives}"
        book = Book(name, lambda topic, question: self.answer(worker, question), lambda: None, 0.0, lambda: self.now_s)
        worker = Worker(name, book)
        return worker

    async def answer(self, worker: Worker, question: object) -> Raw:
        assert isinstance(question, Borrow)
        if worker.dead:
            raise Unanswered("the borrower is gone")

        def change(connection) -> Lent:  # type: ignore[no-untyped-def]
            granted = borrow(connection, question.borrower, question.number, question.wanted)
            return Lent(self.ledger.source(connection), tuple(granted))

        lent = self.ledger.change(change)
        if worker.loses == 1:  # the answer is lost, as in a kill of the ledger process
            worker.loses = 0
            raise Unanswered("lost")
        if worker.loses == 2:  # it was lost, and the question put again
            worker.loses = 0
            lent = self.ledger.change(change)
        if worker.answers is not None:
            await worker.answers.acquire()
        return Raw(encode(lent))

    @rule(
        target=requests,
        asked=st.lists(st.tuples(WORKERS, COSTS), min_size=1, max_size=8),
        loses=st.sampled_from((0, 0, 0, 1, 2)),
    )
    def begin_some(self, asked: list[tuple[int, int]], loses: int) -> object:
        self.workers[asked[0][0]].loses = loses
        begun = [self.begun(self.workers[at], most) for at, most in asked]
        return multiple(*(each for each in begun if each is not None))

    def begun(self, worker: Worker, most: int) -> Held | None:
        self.most[self.day] = max(self.most.get(self.day, 0), self.limit.amount)
        hold = worker.book.hold(Allowed((self.limit,)), "gpt", self.day * DAY_S * 1_000_000 + 5)
        waiting = hold.cover(0, most)
        if waiting is not None:
            self.be_in_time(worker)
            try:
                self.loop.run_until_complete(waiting)
            except (Short, Unanswered):
                return None
        held = Held(worker, hold, self.day, most)
        worker.held.append(held)
        return held

    @rule(request=consumes(requests), share=st.floats(0, 1), beyond=st.sampled_from((0, 0, 0, 0, 25)))
    def ends(self, request: Held, share: float, beyond: int) -> None:
        if request not in request.worker.held:  # it died with its worker
            return
        cost = int(request.most * share)
        if beyond:
            cost = request.most + beyond
            self.beyond[request.day] = self.beyond.get(request.day, 0) + beyond
        self.end(request, cost)

    def end(self, request: Held, cost: int) -> None:
        request.worker.held.remove(request)
        request.hold.settle("ok", 0, cost)
        self.record(request, cost)

    def record(self, request: Held, cost: int) -> None:
        self.spent[request.day] = self.spent.get(request.day, 0) + cost
        request.worker.records.append((request.hold.held, request.day, cost))

    @rule(at=WORKERS, count=st.integers(1, 5))
    def ingests(self, at: int, count: int) -> None:
        self.ingest(self.workers[at], count)

    def ingest(self, worker: Worker, count: int) -> None:
        for held, day, cost in worker.records[:count]:
            sums = {(held, day * DAY_S // 60): Counted(1, 0, cost)}
            self.ledger.change(lambda connection, sums=sums: settle(connection, worker.name, sums))
            self.settled[day] = self.settled.get(day, 0) + cost
        del worker.records[:count]

    @rule(at=WORKERS)
    def dies(self, at: int) -> None:
        worker = self.workers[at]
        worker.dead = True
        for request in list(worker.held):  # recorded by estimates, which are no more than the most
            self.record(request, request.most // 2)
        worker.held.clear()
        self.ingest(worker, len(worker.records))
        self.ledger.change(lambda connection: release(connection, worker.name))
        self.be_in_time(worker)  # what it has asked before comes, and is of no use
        self.workers[at] = self.born()

    @rule(at=WORKERS, ending=ENDING)
    def hears_that_others_are_short(self, at: int, ending: int) -> None:
        short = self.ledger.read(lambda connection: recalled_since(connection, -1, 10))
        recalled = Recalled("", 0, tuple(short) if short else None)

        async def hear() -> None:
            self.workers[at].book.hear(Raw(encode(recalled)))
            self.some_end(self.workers[at], ending)
            await turns()

        self.loop.run_until_complete(hear())

    @rule(at=WORKERS, times=st.integers(1, 4), ending=ENDING)
    def is_idle(self, at: int, times: int, ending: int) -> None:
        async def tend() -> None:
            for turn in range(times):
                self.workers[at].book.tend(self.day * DAY_S + 100 + turn * 10)
            self.some_end(self.workers[at], ending)
            await turns()

        self.loop.run_until_complete(tend())

    def some_end(self, worker: Worker, count: int) -> None:
        """Requests end before the question is put that an event has led to."""
        for request in worker.held[:count]:
            self.end(request, request.most // 3)

    @rule(at=WORKERS)
    def is_answered_late(self, at: int) -> None:
        if self.workers[at].answers is None:
            self.workers[at].answers = asyncio.Semaphore(0)

    @rule(at=WORKERS)
    def an_answer_comes(self, at: int) -> None:
        answers = self.workers[at].answers
        if answers is not None:
            answers.release()
        self.goes_on()

    @rule(at=WORKERS)
    def is_answered_in_time(self, at: int) -> None:
        self.be_in_time(self.workers[at])
        self.goes_on()

    def be_in_time(self, worker: Worker) -> None:
        if worker.answers is not None:
            for _ in asyncio.all_tasks(self.loop):
                worker.answers.release()
            worker.answers = None

    @rule()
    def goes_on(self) -> None:
        """All that can be asked and answered now is."""
        self.loop.run_until_complete(turns())

    @rule(amount=AMOUNTS)
    def is_changed(self, amount: int) -> None:
        self.limit = self.limits.set(self.key, "spend", "day", amount)

    @rule(seconds=st.sampled_from((0.1, 1.0, 10.0)))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def becomes_another_day(self) -> None:
        self.day += 1

    @invariant()
    def nothing_is_overspent(self) -> None:
        if not hasattr(self, "workers"):
            return
        for day, spent in self.spent.items():
            reserved = sum(request.most for worker in self.workers for request in worker.held if request.day == day)
            assert spent + reserved - self.beyond.get(day, 0) <= self.most[day]

    @invariant()
    def nobody_has_more_than_was_lent(self) -> None:
        if not hasattr(self, "workers"):
            return
        columns = (LEASES.c.borrower, LEASES.c.limit_id, LEASES.c.start, LEASES.c.granted)
        rows = self.ledger.read(lambda connection: connection.execute(select(*columns)).all())
        lent = {(borrower, (limit, start)): granted for borrower, limit, start, granted in rows}
        for worker in self.workers:
            for key, part in worker.book._slices.items():
                assert part.free <= 0 or part.granted <= lent.get((worker.name, key), 0)

    @invariant()
    def the_ledger_adds_up(self) -> None:
        if not hasattr(self, "workers"):
            return
        state = self.limits.show(self.limit.id)
        assert state.used == self.settled.get(self.day, 0)
        assert state.left == max(0, state.limit.amount - state.used - state.reserved)
        # What is lent was there to be lent, whether or not it has been spent yet.
        most = self.most.get(self.day, 0) + self.beyond.get(self.day, 0)
        assert state.used + state.reserved <= most

    def teardown(self) -> None:
        """All of what is left can be spent by one worker, and no more."""
        if hasattr(self, "workers"):
            for at, worker in enumerate(self.workers):
                worker.loses = 0
                self.be_in_time(worker)
                self.dies(at)
            left = max(0, self.limit.amount - self.spent.get(self.day, 0))
            last = self.born()
            hold = last.book.hold(Allowed((self.limit,)), "gpt", self.day * DAY_S * 1_000_000 + 5)
            if left:
                waiting = hold.cover(0, left)
                assert waiting is not None
                self.loop.run_until_complete(waiting)
            waiting = hold.cover(0, 1)
            assert waiting is not None
            with pytest.raises(Short):
                self.loop.run_until_complete(waiting)
        self.goes_on()
        assert not asyncio.all_tasks(self.loop)
        self.loop.close()
        self.ledger.close()
        self.folder.cleanup()


@pytest.mark.parametrize("histories", [5, pytest.param(15, marks=pytest.mark.slow)])
def test_nothing_is_overspent_in_any_history(histories: int) -> None:
    run_state_machine_as_test(
        Spending, settings=settings(max_examples=histories, stateful_step_count=40, deadline=None)
    )


def test_a_limit_is_named_by_its_subject() -> None:
    assert Limit(id=1, subject="proj_1", measure="spend", window="day", amount=1).level == "project"
