"""The time that limits take of a request: none, one, and 24 of them at three levels, admitted within what is borrowed.

    python -m bench.limits

A request takes its part, reserves the most that its call may take, and is settled, as in `weebill.gateway.limiter`; the
headers for its client are apart. Interpreted, on one core, the best of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from timeit import Timer
from typing import Final, get_args

from msgspec import Raw

from weebill.catalog.schema import Price
from weebill.limits.book import Book
from weebill.limits.bounds import bound_of, most_nano
from weebill.limits.limit import Limit, Measure, Window
from weebill.limits.questions import Borrow, Granted, Lent
from weebill.limits.refusals import lines_of, openai_lines
from weebill.limits.slices import Allowed
from weebill.process.questions import encode

_ROUNDS: Final = 200  # so that some are undisturbed on a busy machine
_LOOPS: Final = 300
_AMOUNT: Final = 2**50
_BODY: Final = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"%b"}],"max_tokens":100}' % (b"word " * 60)
_PRICE: Final = Price(input=150_000, output=600_000, cache_read=75_000)
_KINDS: Final[tuple[tuple[Measure, Window], ...]] = (
    ("requests", "minute"), ("requests", "day"), ("tokens", "minute"), ("tokens", "day"),
    ("spend", "day"), ("spend", "month"), ("spend", "none"), ("concurrent", "none"),
)  # fmt: skip
_SUBJECTS: Final = ("key_1", "proj_1", "org_1")


def limits(count: int) -> tuple[Limit, ...]:
    """Returns so many limits of one key: of its own first, then of its project and organisation."""
    kinds = [(subject, measure, window) for subject in _SUBJECTS for measure, window in _KINDS]
    return tuple(
        Limit(id=number, subject=subject, measure=measure, window=window, amount=_AMOUNT)
        for number, (subject, measure, window) in enumerate(kinds[:count], 1)
    )


async def _generous(topic: str, question: object) -> Raw:
    """Grants all that is wanted and much more."""
    assert isinstance(question, Borrow)
    granted = (Granted(each.limit, each.start, _AMOUNT, 0, 0, _AMOUNT) for each in question.wanted)
    return Raw(encode(Lent("bench", tuple(granted))))


def microseconds(work: Callable[[], object]) -> float:
    """Returns the processor time of one call."""
    return min(Timer(work, timer=time.process_time).repeat(_ROUNDS, _LOOPS)) / _LOOPS * 1e6


def request(count: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Returns the work of a request of a key with so many limits, and that of the headers."""
    import asyncio

    book = Book("bench", _generous, lambda: None)
    allowed = Allowed(limits(count))
    began_us = int(time.time() * 1e6)

    async def borrow() -> None:
        hold = book.hold(allowed, "gpt-4o-mini", began_us)
        for waiting in (hold.enter(), hold.cover(1000, 1000)):
            if waiting is not None:
                await waiting
        hold.settle("ok", 50, 50)

    asyncio.run(borrow())

    def work() -> None:
        hold = book.hold(allowed, "gpt-4o-mini", began_us)
        assert hold.enter() is None
        bound = bound_of(_BODY, 16_384, 128_000)
        assert hold.cover(bound.tokens, most_nano(_PRICE, bound)) is None
        hold.settle("ok", 90, 50_000)

    def headers() -> None:
        grant = book.hold(allowed, "gpt-4o-mini", began_us).grant
        lines_of("requests", grant.requests, began_us / 1e6, openai_lines)
        lines_of("tokens", grant.tokens, began_us / 1e6, openai_lines)

    return work, headers


def main() -> None:
    """Prints the times."""
    assert len(get_args(Measure)) == len({measure for measure, _ in _KINDS})
    for count in (1, 8, 24):
        work, headers = request(count)
        print(f"{count:3} limits: {microseconds(work):5.2f} us a request, {microseconds(headers):5.2f} us its headers")
    bound = microseconds(lambda: most_nano(_PRICE, bound_of(_BODY, 16_384, 128_000)))
    print(f"of which {bound:.2f} us for the most that its call may take")


if __name__ == "__main__":
    main()
