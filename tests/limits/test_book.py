"""A worker's book of allowances: what is asked, what waits, and what is shared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from msgspec import Raw

from weebill.limits.book import Book
from weebill.limits.hold import Hold
from weebill.limits.limit import Limit
from weebill.limits.questions import Borrow, Granted, Lent, Recalled, Wanted
from weebill.limits.refusals import refusal
from weebill.limits.slices import Allowed, Short
from weebill.limits.windows import window_at
from weebill.process.questions import Position, Unanswered, encode

AT = 1_800_000_000
LIMIT = Limit(id=7, subject="key_1", measure="requests", window="day", amount=100)


class Ledger:
    """Answers as it is told, and keeps the questions."""

    def __init__(self, grants: Callable[[Wanted], Granted]) -> None:
        self.grants = grants
        self.asked: list[Borrow] = []
        self.source = "one"
        self.down = False

    async def ask(self, topic: str, question: object) -> Raw:
        assert isinstance(question, Borrow)
        self.asked.append(question)
        await asyncio.sleep(0)
        if self.down:
            raise Unanswered("down")
        return Raw(encode(Lent(self.source, tuple(map(self.grants, question.wanted)))))

    @property
    def book(self) -> Book:
        return Book("w1", self.ask, lambda: None, 0.0)


def generous(wanted: Wanted) -> Granted:
    return Granted(wanted.limit, wanted.start, wanted.used + (wanted.need + 10 if wanted.need else 0), 50, 0, 100)


def stingy(wanted: Wanted) -> Granted:
    return Granted(wanted.limit, wanted.start, wanted.used, 0, 0, 100)


def hold(book: Book, at: int = AT, limit: Limit = LIMIT) -> Hold:
    return book.hold(Allowed((limit,)), "gpt", at * 1_000_000)


async def entered(book: Book, at: int = AT) -> Hold:
    held = hold(book, at)
    waiting = held.enter()
    if waiting is not None:
        await waiting
    return held


async def test_requests_that_wait_share_a_question() -> None:
    ledger = Ledger(generous)
    book = ledger.book
    await asyncio.gather(*(entered(book) for _ in range(20)))
    assert [(each.wanted[0].need, each.wanted[0].least) for each in ledger.asked] == [(20, 1)]
    for _ in range(10):
        assert hold(book).enter() is None
    assert len(ledger.asked) == 1


async def test_what_is_idle_is_kept_while_nothing_is_heard_of_the_ledger() -> None:
    ledger = Ledger(generous)
    book = ledger.book
    held = await entered(book)
    held.settle("ok", 0, 0)
    for turn in range(1, 5):
        book.tend(AT + 10 * turn, heard=False)
    await asyncio.sleep(0)
    assert len(ledger.asked) == 1
    assert hold(book, AT + 50).enter() is None
    for turn in range(5, 7):
        book.tend(AT + 10 * turn)
    await asyncio.sleep(0)
    assert [each.wanted[0].need for each in ledger.asked] == [1, 0]


async def test_nobody_asks_again_at_once_for_what_there_is_not() -> None:
    ledger = Ledger(stingy)
    book = ledger.book
    for _ in range(5):
        with pytest.raises(Short):
            await entered(book)
    assert len(ledger.asked) == 1


async def test_a_request_belongs_to_the_window_in_which_it_began() -> None:
    ledger = Ledger(generous)
    book = ledger.book
    _, end = window_at("day", AT)
    for at in (end - 1, end, end - 1):
        await entered(book, at)
    assert [each.wanted[0].start for each in ledger.asked] == [window_at("day", AT)[0], end]


async def test_what_others_need_goes_back_at_once() -> None:
    ledger = Ledger(generous)
    book = ledger.book
    await entered(book)
    book.hear(Raw(encode(Recalled("one", 3, (8,)))))
    await asyncio.sleep(0.01)
    assert len(ledger.asked) == 1
    book.hear(Raw(encode(Recalled("one", 4, (7,)))))
    await asyncio.sleep(0.01)
    assert (ledger.asked[-1].wanted[0].used, ledger.asked[-1].wanted[0].need) == (1, 0)
    assert book.position() == Position("one", 4)


async def test_without_the_ledger_a_part_is_used_up_and_then_refused_for_now() -> None:
    ledger = Ledger(generous)
    book = ledger.book
    await entered(book)
    ledger.down = True
    for _ in range(10):
        assert hold(book).enter() is None
    with pytest.raises(Unanswered):
        await entered(book)
    ledger.down = False
    await entered(book)
    assert ledger.asked[-1].wanted[0].used == 11


async def test_another_ledger_knows_of_no_lease() -> None:
    ledger = Ledger(generous)
    book = ledger.book
    for _ in range(11):
        await entered(book)
    ledger.source = "restored"
    with pytest.raises(Unanswered):
        await entered(book)
    await entered(book)
    assert ledger.asked[-1].wanted[0].used == 0


async def test_a_limit_that_is_gone_holds_nobody() -> None:
    ledger = Ledger(lambda wanted: Granted(wanted.limit, wanted.start, 0, 0, 0, 0, gone=True))
    book = ledger.book
    for _ in range(200):
        await entered(book)


async def test_what_is_reserved_is_free_again_when_the_request_is_settled() -> None:
    ledger = Ledger(lambda wanted: Granted(wanted.limit, wanted.start, 100, 0, 0, 100))
    book = ledger.book
    spend = msgspec.structs.replace(LIMIT, measure="spend")
    first = hold(book, limit=spend)
    waiting = first.cover(0, 60)
    assert waiting is not None
    await waiting
    second = hold(book, limit=spend)
    waiting = second.cover(0, 60)
    assert waiting is not None
    with pytest.raises(Short):
        await waiting
    first.settle("ok", 0, 10)
    assert second.cover(0, 90) is None
    second.uncover(90)
    assert second.cover(0, 90) is None


async def test_what_an_unanswered_question_gave_back_is_given_back_again_when_it_is_called() -> None:
    ledger = Ledger(generous)
    book = ledger.book
    await entered(book)
    ledger.down = True
    book.hear(Raw(encode(Recalled("one", 3, (7,)))))
    await asyncio.sleep(0.01)
    ledger.down = False
    asked = len(ledger.asked)
    book.hear(Raw(encode(Recalled("one", 4, (8,)))))
    await asyncio.sleep(0.01)
    assert len(ledger.asked) == asked
    book.hear(Raw(encode(Recalled("one", 5, (7,)))))
    await asyncio.sleep(0.01)
    assert (ledger.asked[-1].wanted[0].used, ledger.asked[-1].wanted[0].need) == (1, 0)
    book.hear(Raw(encode(Recalled("one", 6, (7,)))))
    await asyncio.sleep(0.01)
    assert len(ledger.asked) == asked + 1


async def test_what_is_free_again_before_the_question_is_put_goes_back_with_it() -> None:
    lease = 0

    def exact(wanted: Wanted) -> Granted:
        nonlocal lease
        lease = max(lease, wanted.used + wanted.need) if wanted.need else min(lease, wanted.used)
        return Granted(wanted.limit, wanted.start, lease, 0, 50, 100)

    book = Ledger(exact).book
    first, second = await entered(book), await entered(book)
    first.settle("rejected", 0, 0)
    book.hear(Raw(encode(Recalled("one", 3, (7,)))))
    second.settle("rejected", 0, 0)
    await asyncio.sleep(0)  # the ledger process is asked, and has not answered
    waiting = hold(book).enter()
    if waiting is not None:
        await waiting
    await asyncio.sleep(0.01)
    assert lease == 1


async def test_a_refusal_after_more_was_charged_than_was_reserved_says_what_is_left_of_that() -> None:
    """The ledger has not ingested the answer yet: nobody holds what it took, and it is gone all the same."""
    limit = msgspec.structs.replace(LIMIT, measure="tokens", amount=1000)

    def grants(wanted: Wanted) -> Granted:
        fits = wanted.used + wanted.need <= 1000
        granted = wanted.used + wanted.need if fits else 100
        return Granted(wanted.limit, wanted.start, granted, 1000 - min(granted, 900), 0, 1000)

    book = Ledger(grants).book
    first = hold(book, limit=limit)
    await covered(first, 100)
    first.settle("ok", 990, 0)
    with pytest.raises(Short) as short:
        await covered(hold(book, limit=limit), 50)
    assert short.value.slice.left == 10
    message = str(refusal(short.value, AT))
    assert "may take up to 50 tokens, and 10 tokens are left" in message


async def test_nothing_is_left_of_a_limit_that_is_lowered_below_what_is_lent() -> None:
    limit = msgspec.structs.replace(LIMIT, measure="tokens", amount=1000)

    def grants(wanted: Wanted) -> Granted:
        return Granted(wanted.limit, wanted.start, wanted.used + wanted.need, 1000 - wanted.used - wanted.need, 0, 1000)

    book = Ledger(grants).book
    await covered(hold(book, limit=limit), 600)
    lowered = msgspec.structs.replace(limit, amount=100)
    with pytest.raises(Short) as short:
        await covered(hold(book, limit=lowered), 500)
    assert short.value.slice.left == 0
    assert "may take up to 500 tokens, and 0 tokens are left of the limit of 100" in str(refusal(short.value, AT))


async def test_a_worker_that_has_not_asked_does_not_say_what_is_left() -> None:
    limit = msgspec.structs.replace(LIMIT, measure="tokens", amount=1000)
    with pytest.raises(Short) as short:
        await covered(hold(Ledger(generous).book, limit=limit), 5000)
    message = str(refusal(short.value, AT, "`n`"))
    assert "may take up to 5000 tokens, more than the limit of 1000 tokens per day" in message
    assert "left" not in message
    assert message.endswith("A smaller `n` lowers what it may take.")


async def covered(held: Hold, tokens: int) -> None:
    waiting = held.cover(tokens, 0)
    if waiting is not None:
        await waiting
