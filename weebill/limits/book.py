"""A worker's book of allowances: requests are admitted within its slices, by arithmetic alone.

1. A request takes one of each limit of requests before it is routed (`Hold.enter`), and reserves the most tokens and
   nano-dollars that a call may take before each call of an upstream (`Hold.cover`).
2. If a slice has too little, the ledger process is asked for more. Requests that wait at the same time share a
   question. If others hold what is missing they are called back, so it is asked for again, for `PATIENCE_S` at most.
3. When the request's record is written, what it has not used is free again (`Hold.settle`). The record has the ids of
   the limits, so the ledger moves the same amounts from the lease to what is settled, in the transaction that ingests
   the record: never twice, never not at all, whichever process is killed when.
4. What nobody uses goes back, at once if others need it (`Book.hear`), else after some seconds (`Book.tend`).

What this worker has been granted is never more here than in the ledger: it is more here only after the ledger has
committed it, and less here before the ledger is told.

A worker that dies returns nothing. Its records are ingested; what it had under way is recorded as `worker_died`; then
the rest of its leases is given back (`weebill.usage.ingest`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, get_args

import msgspec
from msgspec import Raw

from weebill.limits.counting import written
from weebill.limits.hold import Hold
from weebill.limits.limit import MOST, Measure
from weebill.limits.questions import TOPIC, Borrow, Granted, Lent, Recalled, Wanted
from weebill.limits.slices import Allowed, Grant, Short, Slice, Tally
from weebill.limits.together import Together
from weebill.limits.windows import window_at
from weebill.process.questions import Position, Unanswered

PATIENCE_S: Final = 1.5
"""The longest wait for others to give back what they do not use."""
_ROUND_S: Final = 0.15  # between two questions of one request: news of a recall take up to half a second
_DRY_S: Final = 0.5
_SWEEP_S: Final = 5.0
_LATE_S: Final = 120.0  # after its end, a window has no new requests
_MOST_WAITING: Final = 4096
_MOST_WANTED: Final = 512  # in one question
_US: Final = 1_000_000

Asks = Callable[[str, object], Awaitable[Raw]]
"""Asks a question about a topic. Raises Unanswered."""

_lent: Final = msgspec.msgpack.Decoder(Lent).decode
_recalled: Final = msgspec.msgpack.Decoder(Recalled).decode

log = logging.getLogger(__name__)


class Book:
    """The slices of one worker, which borrows under the name `borrower`; it follows `TOPIC`.

    `ready` makes sure that the ledger process sees the worker live, before anything is borrowed. It raises OSError. A
    request waits for `patience_s` for what others hold.
    """

    def __init__(
        self,
        borrower: str,
        ask: Asks,
        ready: Callable[[], None],
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._borrower = borrower
        self._ask = ask
        self._ready = ready
        self._slices: dict[tuple[int, int], Slice] = {}
        self._tallies: dict[tuple[Slice, ...], Tally] = {}
        self._together = Together()
        self._generation = 0
        self._number = 0
        self._source = ""
        self._position = Position()
        self._wanted: dict[Slice, bool] = {}  # true for a lease that may end
        self._round: asyncio.Future[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._waiting = 0
        self._swept_at = 0.0

    def hold(self, allowed: Allowed, model: str, began_us: int) -> Hold:
        """Returns the hold, of nothing yet, of a request that began at a time in Unix microseconds."""
        grant = allowed.grants.get(model if allowed.patterns else "")
        if grant is None or not grant.since_us <= began_us < grant.until_us or grant.generation != self._generation:
            grant = self._granted(allowed, model, began_us // _US)
        return Hold(self, grant, began_us)

    async def take(self, needs: Sequence[tuple[Slice, int]]) -> None:
        """Takes so much of each slice, or nothing; waits for what can be borrowed. Raises Short, Unanswered."""
        if self._waiting >= _MOST_WAITING:
            raise Unanswered("too many requests wait for their limits")
        self._waiting += 1
        try:
            await self._take(needs)
        finally:
            self._waiting -= 1

    def position(self) -> Position:
        """Returns the version up to which recalls are known."""
        return self._position

    def hear(self, news: Raw) -> None:
        """Gives back what is free of limits of which others need more. Raises msgspec.MsgspecError."""
        recalled = _recalled(news)
        self._position = Position(recalled.source, recalled.version)
        limits = recalled.limits
        called = [each for each in self._slices.values() if limits is None or each.limit.id in limits]
        self._give_back([each for each in called if each.free > 0 or each.unsure])

    def tend(self, now: float, *, heard: bool = True) -> None:
        """Gives back what has been idle for some seconds; call it several times a second, with Unix seconds.

        Unless the ledger is `heard` of, all is kept: nobody could have it meanwhile, and nothing be borrowed again.
        """
        if abs(now - self._swept_at) < _SWEEP_S:
            return
        self._swept_at = now
        idle, ended = [], []
        for key, each in list(self._slices.items()):
            if each.end + _LATE_S < now:
                self._drop(key)
            elif each.seen != each.used or not heard:
                each.seen = each.used
            elif each.free > 0 or each.unsure:
                idle.append(each)
            elif not each.need:
                ended.append(each)
        self._give_back(idle)
        self._give_back(ended, ends=True)

    async def _take(self, needs: Sequence[tuple[Slice, int]]) -> None:
        until = self._clock() + self._patience_s
        while True:
            short = [(each, need) for each, need in needs if each.free < need]
            if not short:
                for each, need in needs:
                    each.free -= need
                return
            now = self._clock()
            for each, need in short:
                is_dry = now < each.dry_until and need >= each.dry_need and need > each.left
                if need > each.amount or is_dry:
                    raise Short(each, need)
            await self._borrow(short)
            again = False
            for each, need in short:
                if each.free >= need:
                    continue
                if each.lent + each.available + each.free < need or self._clock() >= until:
                    each.dry_until, each.dry_need = self._clock() + _DRY_S, need
                    raise Short(each, need)
                again = True
            if again:
                await asyncio.sleep(_ROUND_S)

    async def _borrow(self, short: Iterable[tuple[Slice, int]]) -> None:
        for each, need in short:
            each.least = min(each.least, need) if each.need else need
            each.need += need
            self._wanted[each] = False
        await asyncio.shield(self._soon())

    def _give_back(self, slices: Iterable[Slice], *, ends: bool = False) -> None:
        for each in slices:
            self._wanted.setdefault(each, ends)
        if self._wanted:
            self._soon()

    def _soon(self) -> asyncio.Future[None]:
        """Returns the end of the next question."""
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
            self._round.add_done_callback(_retrieved)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask_all(), name="borrow")
        return self._round

    async def _ask_all(self) -> None:
        """Asks one question after the other for as long as anything is wanted."""
        while (round_ := self._round) is not None:
            self._round = None
            try:
                await self._ask_once()
            except Unanswered as error:
                round_.set_exception(error)
            except Exception as error:  # whatever it is: without this task nobody would be answered any more
                log.exception("allowances cannot be borrowed")
                round_.set_exception(Unanswered(repr(error)))
            else:
                round_.set_result(None)

    async def _ask_once(self) -> None:
        """Raises Unanswered."""
        asked = dict(list(self._wanted.items())[:_MOST_WANTED])
        wanted = []
        for each, ends in asked.items():
            del self._wanted[each]
            if not each.need:  # all of it now: what is not used by this question is not there after it
                each.give_back()
            ends = ends and each.leased and not each.need and not each.ended_at
            want = Wanted(each.limit.id, each.start, each.used, each.need, each.least, ends, each.ended_at)
            wanted.append(want)
            each.need = each.least = 0
            each.unsure = True
            if ends:
                each.ended_at = want.used
        if self._wanted:
            self._soon()
        try:
            self._ready()
        except OSError as error:
            raise Unanswered(str(error)) from error
        self._number += 1
        question = Borrow(self._borrower, self._number, tuple(wanted))
        try:
            lent = _lent(await self._ask(TOPIC, question))
        except msgspec.MsgspecError as error:
            raise Unanswered(str(error)) from error
        known, self._source = self._source, lent.source
        if known not in ("", lent.source):
            self._forget()
            raise Unanswered("the ledger was replaced, or what this worker held was settled as if it had died")
        found = {(each.limit, each.start): each for each in lent.granted}
        for want, each in zip(wanted, asked, strict=True):
            with suppress(KeyError):
                self._note(each, want, found[want.limit, want.start])

    def _note(self, slice_: Slice, want: Wanted, granted: Granted) -> None:
        used = slice_.used
        slice_.available, slice_.lent, slice_.amount = granted.available, granted.lent, granted.amount
        slice_.leased, slice_.ended_at, slice_.unsure = not granted.gone, 0, False
        ended = granted.gone and (want.ended or want.ended_at != 0)
        if ended:
            # All that was used by then is in the ledger; what came since has no lease.
            used -= want.used if want.ended else want.ended_at
            if not used and self._slices.get((want.limit, want.start)) is slice_:
                self._drop((want.limit, want.start))
        slice_.granted = MOST if granted.gone and not ended else granted.granted
        slice_.free = slice_.granted - used

    def _forget(self) -> None:
        """Starts anew: another ledger, or an earlier state of this one, knows of no lease, or they were ended."""
        self._slices.clear()
        self._regroup()

    def _drop(self, key: tuple[int, int]) -> None:
        del self._slices[key]
        self._regroup()

    def _regroup(self) -> None:
        """Has all grants be made anew."""
        self._tallies.clear()
        self._generation += 1

    def _granted(self, allowed: Allowed, model: str, at: int) -> Grant:
        limits = allowed.of(model)
        if self._together.meet([limit.id for limit in limits]):
            self._regroup()
        together: dict[tuple[Measure, int], list[Slice]] = {}
        windows = [window_at(limit.window, at) for limit in limits]
        for limit, (start, end) in zip(limits, windows, strict=True):
            found = self._slices.get((limit.id, start))
            if found is None:
                found = self._slices[limit.id, start] = Slice(limit, start, end)
            elif found.limit is not limit:  # it was changed
                found.available += limit.amount - found.amount
                found.limit, found.amount = limit, limit.amount
            together.setdefault((limit.measure, self._together.part_of[limit.id]), []).append(found)
        tallies: dict[Measure, list[Tally]] = {measure: [] for measure in get_args(Measure)}
        for (measure, _), slices in together.items():
            tallies[measure].append(self._tally(tuple(slices)))
        since = max([start for start, _ in windows], default=at)
        until = min([end for _, end in windows], default=at + 1)
        grant = Grant(
            since * _US,
            until * _US,
            self._generation,
            tuple(tallies["requests"]),
            tuple(tallies["concurrent"]),
            tuple(tallies["tokens"]),
            tuple(tallies["spend"]),
            written(tuple(limit.id for limit in limits)),
        )
        allowed.remember(model, grant)
        return grant

    def _tally(self, slices: tuple[Slice, ...]) -> Tally:
        """Returns the tally that all keys share that are held to these slices."""
        found = self._tallies.get(slices)
        if found is None:
            found = self._tallies[slices] = Tally(slices)
        return found


def _retrieved(round_: asyncio.Future[None]) -> None:
    """Retrieves the error of a question that nobody waits for, so that asyncio does not report it."""
    if not round_.cancelled():
        round_.exception()
