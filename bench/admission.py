"""The processor time that limits take of a request: one, 8 of a key, and 24 at three levels.

It is all that a worker does for them where what is borrowed suffices: it takes a request's part of limits of requests,
reserves the most tokens and nano-dollars that its call may take, writes the headers about both, and settles it. The
same request without limits is taken off. Interpreted, on one core; the best of many short rounds is what others on a
busy machine disturb least.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Final

import msgspec
from msgspec import Raw
from rich.table import Table

from weebill.accounts.api_key import ApiKey
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.catalog.pricing import Tariff
from weebill.catalog.schema import Price
from weebill.config.schema import ServerSettings
from weebill.gateway.authentication import Caller
from weebill.gateway.limiter import Limiter, most_of
from weebill.gateway.meter import Meter
from weebill.gateway.request import Request
from weebill.limits.book import Book
from weebill.limits.limit import Limit, Measure, Window
from weebill.limits.questions import Borrow, Granted, Lent
from weebill.limits.slices import Allowed
from weebill.process.questions import encode
from weebill.providers.base import Target
from weebill.routing.capabilities import Capabilities
from weebill.routing.deployments import Deployment
from weebill.transport.connection import ServerConnection
from weebill.transport.exchange import Exchange
from weebill.transport.head import Head
from weebill.transport.server import in_openais_format
from weebill.transport.server_state import ServerState
from weebill.transport.sweeper import Sweeper
from weebill.wire.call import Call

TARGET_US: Final = 6.0
CASES: Final = ((1, 1), (8, 1), (24, 1), (24, 2))
"""How many limits, and how many keys take turns that have those of the project and the organisation in common."""
KINDS: Final[dict[tuple[Measure, Window], int]] = {
    ("requests", "minute"): 10**8,
    ("requests", "day"): 10**8,
    ("tokens", "minute"): 10**9,
    ("tokens", "day"): 10**9,
    ("spend", "day"): 10**15,
    ("spend", "month"): 10**15,
    ("spend", "none"): 10**15,
    ("concurrent", "none"): 10**6,
}
"""Amounts that no measurement uses up."""
_ROUNDS: Final = 500
_LOOPS: Final = 300
_TOKENS: Final = 90
_NANO: Final = 50_000
_SUBJECTS: Final = ("key", "proj_1", "org_1")
_BODY: Final = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"%b"}],"max_tokens":100}' % (b"word " * 60)
_PATH: Final = b"/v1/chat/completions"


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """The time that so many limits take of a request of one of `keys` keys, which take turns; that of the bound is a
    part of it. Microseconds.
    """

    limits: int
    keys: int
    request_us: float
    bound_us: float


def measure_admission() -> list[Admitted]:
    """Returns the times for each of `CASES`."""
    return asyncio.run(_measure())


def is_admitted(found: Sequence[Admitted]) -> bool:
    """True if no case takes more than the target allows."""
    return all(each.request_us <= TARGET_US for each in found)


def admission_table(found: Sequence[Admitted]) -> Table:
    """Returns the times beside the target."""
    table = Table(
        title="What limits take of a request, interpreted",
        caption=f"reserved, told in headers and settled, without asking; target: ≤ {TARGET_US:.0f} µs",
    )
    for column in ("limits", "keys in turns", "processor time", "of which the bound of its call"):
        table.add_column(column, justify="right")
    for each in found:
        mark = "✓" if is_admitted([each]) else "✗"
        table.add_row(str(each.limits), str(each.keys), f"{each.request_us:.2f} µs {mark}", f"{each.bound_us:.2f} µs")
    return table


def limits_of(count: int, key: int = 0) -> tuple[Limit, ...]:
    """Returns so many limits of a key: of its own first, then of its project and organisation, which all keys have."""
    kinds = [(subject, kind) for subject in _SUBJECTS for kind in KINDS]
    own = len(KINDS)
    return tuple(
        Limit(
            id=number + (key * len(kinds) if number <= own else 0),
            subject=f"key_{key}" if number <= own else subject,
            measure=kind[0],
            window=kind[1],
            amount=KINDS[kind],
        )
        for number, (subject, kind) in enumerate(kinds[:count], 1)
    )


async def _measure() -> list[Admitted]:
    deployment = Deployment(
        "openai", "gpt-4o-mini", None, Target(model="gpt-4o-mini", provider="openai"), "openai",
        Tariff(Price(input=150_000, output=600_000, cache_read=75_000)),
        Capabilities(context=128_000, max_output=16_384),
    )  # fmt: skip
    bound: list[Callable[[], object]] = [lambda: most_of(deployment, _BODY, writes=True)]
    works: list[Sequence[Callable[[], object]]] = [bound, await _request(deployment, [()])]
    for count, keys in CASES:
        works.append(await _request(deployment, [limits_of(count, key) for key in range(keys)]))
    bound_us, bare_us, *requests_us = _microseconds(works)
    return [
        Admitted(limits=count, keys=keys, request_us=request_us - bare_us, bound_us=bound_us)
        for (count, keys), request_us in zip(CASES, requests_us, strict=True)
    ]


async def _request(deployment: Deployment, keys: Sequence[tuple[Limit, ...]]) -> list[Callable[[], None]]:
    """Returns the work of a request of each key with these limits, of which much has been borrowed."""
    book = Book("bench", partial(_generous, {limit.id: limit for limits in keys for limit in limits}), lambda: None)
    limiter = Limiter(book)
    connection = ServerConnection(ServerState(ServerSettings(), in_openais_format), _nothing, Sweeper(1.0))
    return [await _request_of(limiter, connection, deployment, book, limits) for limits in keys]


async def _request_of(
    limiter: Limiter, connection: ServerConnection, deployment: Deployment, book: Book, limits: tuple[Limit, ...]
) -> Callable[[], None]:
    allowed = Allowed(limits) if limits else None
    head = Head(b"POST", _PATH, _PATH, b"", 1, [], {}, len(_BODY), keep_alive=True)
    key = ApiKey(id="key_1", name="bench", role="user", hint="", created_at=0)
    caller = Caller(1, key, inf, allowed=allowed)
    meter = Meter("req_1", key.id, CHAT.name, 0.0)
    call = CHAT.decode(_BODY, {}, "")
    if allowed is not None:
        hold = book.hold(allowed, call.model, int(time.time() * 1e6))
        for wait in (hold.enter, partial(hold.cover, 1000, 1000)):
            waiting = wait()
            if waiting is not None:
                await waiting
        hold.settle("ok", 0, 0)
    started_at = time.monotonic()

    def work() -> None:
        exchange = Exchange(connection, head, "req_1", started_at, b"")
        request: Request[Api, Call] = Request(exchange, CHAT)
        request.caller, request.meter, request.call = caller, meter, call
        if allowed is None or limiter.enter(request, allowed, call) is not None:
            return
        hold = meter.hold
        assert hold is not None
        bound = most_of(deployment, _BODY, writes=True)
        nano = limiter.nano_of(hold, deployment, bound)
        assert hold.cover(bound.prompt + bound.answer, nano) is None
        assert not hold.exceeded(_TOKENS, _NANO)
        hold.settle("ok", _TOKENS, _NANO)
        assert exchange.late_headers is not None
        exchange.late_headers()

    return work


async def _generous(limits: Mapping[int, Limit], topic: str, question: object) -> Raw:
    """Grants all that there is."""
    assert isinstance(question, Borrow)
    granted = [(each, limits[each.limit].amount) for each in question.wanted]
    return Raw(
        encode(Lent("bench", tuple(Granted(each.limit, each.start, most, 0, 0, most) for each, most in granted)))
    )


async def _nothing(exchange: Exchange) -> None:
    """Handles no request: none is received."""


def _microseconds(works: Sequence[Sequence[Callable[[], object]]]) -> list[float]:
    """Returns the processor time of one call of each work, whose parts take turns. The rounds of all works do, too, so
    that the machine is the same for all.
    """
    best = [inf] * len(works)
    for _ in range(_ROUNDS):
        for number, parts in enumerate(works):
            loops = range(_LOOPS // len(parts))
            began = time.process_time()
            for _ in loops:
                for part in parts:
                    part()
            took = (time.process_time() - began) / (len(loops) * len(parts))
            best[number] = min(best[number], took * 1e6)
    return best
