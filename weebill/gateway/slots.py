"""Shares the slots of a local model between API keys, so that no key keeps the others waiting.

1. A request takes its slots, or waits in its key's queue; it is refused if the key has too many waiting.
2. A free slot goes to the key that holds least; among equals, to the one that has waited longest.
3. No key holds more than its share while another key has asked within a minute, but for a request that needs more: once
   it has waited for half a minute, it is next.
4. A client that leaves is taken from the queue at once.
5. Requests with other adapters than those at work are next once all slots are free, and it is the worker's turn if
   there are several.

llama.cpp serves in the order of arrival, and knows no keys. So requests wait here. Only the number of busy slots is
counted: llama.cpp picks the slot, by the prompts that it has read there before. (If `id_slot` names a busy one, it
drops what was read there: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-context.cpp,
`get_available_slot`.) Nor does it work on two sets of adapters in one step: it would let the answer in the first of its
slots come to its end, and stop all others meanwhile, in the middle of a word (`can_batch_with` there).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from weebill.gateway.turns import Turn
from weebill.transport.errors import PoolFull, cancelled_unsent

# Seconds after its last request during which a key's share is kept free.
_RECENT_S: Final = 60.0
# Seconds after which a request that needs more than its key's share need not wait for the others to rest.
_OVERDUE_S: Final = 30.0
_MAX_RECENT: Final = 1000


class _Waiter:
    """A request that waits for `count` slots at once, since a time of the loop, with `adapters`."""

    __slots__ = ("adapters", "count", "granted", "since")

    def __init__(self, count: int, granted: asyncio.Future[None], since: float, adapters: str) -> None:
        self.count = count
        self.adapters = adapters
        self.granted = granted
        self.since = since


class SlotQueue:
    """Hands out `total` slots. A key may hold its share, rounded up: all slots if no other key has asked recently.

    Of `max_waiting` places, a key may take as many as it leaves free, so that others can still wait. With a `turn`, the
    slots are those of a host that other workers use too.
    """

    __slots__ = (
        "_adapters", "_free", "_held", "_max_waiting", "_recent", "_timer", "_total", "_turn", "_waiting",
        "waiting"
    )  # fmt: skip

    def __init__(self, total: int, max_waiting: int, turn: Turn | None = None) -> None:
        self._total = self._free = total
        self._turn: Turn | None = None
        if turn is not None:
            self.take_turns(turn)
        self._max_waiting = max_waiting
        self._held: Counter[str] = Counter()
        # By key; the key that has waited longest since it got a slot comes first.
        self._waiting: dict[str, list[_Waiter]] = {}
        # The time of each key's last request or answer, oldest first.
        self._recent: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._adapters = ""  # of the requests at work
        self.waiting = 0

    @property
    def total(self) -> int:
        """The number of slots, free or not."""
        return self._total

    @property
    def idle(self) -> bool:
        """True if no slot is held or waited for."""
        return self._free == self._total and not self._waiting

    def take_turns(self, turn: Turn) -> None:
        """Begins requests in this turn alone from now on, as the host has adapters; those at work come to their end."""
        if self._turn is not turn:
            self._turn = turn
            turn.on_change = self._turned

    async def take(self, key: str, count: int, adapters: str = "") -> int:
        """Waits for the slots of a request that needs `count` at once, with these adapters. Returns the number taken.

        Raises PoolFull if too many wait already; if cancelled, the exception of `cancelled_unsent`.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._note(key, now)
        waiter = _Waiter(min(count, self._total), loop.create_future(), now, adapters)
        before = len(self._waiting.get(key, ()))
        self._waiting.setdefault(key, []).append(waiter)
        self.waiting += 1
        self._hand_out()
        if not waiter.granted.done() and before >= self._max_waiting - (self.waiting - 1):
            self._leave(key, waiter)
            whose = "of this API key " if before else ""
            raise PoolFull(f"as many requests {whose}as may wait for the local model do already")
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.cancelled():
                self._leave(key, waiter)
            else:  # the slots were granted at that very moment
                self.give_back(key, waiter.count)
            raise cancelled_unsent() from None
        return waiter.count

    def give_back(self, key: str, count: int) -> None:
        """Frees slots."""
        self._note(key, asyncio.get_running_loop().time())
        self._held[key] -= count
        if not self._held[key]:
            del self._held[key]
        self._free += count
        self._turned()

    def _turned(self) -> None:
        """Looks who is next, and lets another worker have its turn if nobody here is."""
        self._hand_out()
        if self._turn is not None and self._free == self._total:
            self._turn.rest()

    def _note(self, key: str, now: float) -> None:
        recent = self._recent
        recent.pop(key, None)
        recent[key] = now
        if len(recent) > _MAX_RECENT:
            del recent[next(iter(recent))]

    def _leave(self, key: str, waiter: _Waiter) -> None:
        self._waiting[key].remove(waiter)
        self.waiting -= 1
        if not self._waiting[key]:
            del self._waiting[key]
        self._hand_out()

    def _hand_out(self) -> None:
        """Grants free slots to the key that holds least; among equals, to the one that has waited longest since it got
        one.
        """
        while self._free and self._waiting:
            share = self._share()
            held = self._held
            fits = [key for key, queue in self._waiting.items() if held[key] + queue[0].count <= share]
            overdue = self._overdue(share)
            if overdue is not None:
                key = overdue
            elif fits:
                key = min(fits, key=held.__getitem__)
            elif self._free == self._total and self._recent.keys() <= self._waiting.keys():
                key = next(iter(self._waiting))  # all keys want more than their share, and no other key has asked
            else:
                self._again_later()
                return
            waiter = self._waiting[key][0]
            if waiter.count > self._free or waiter.granted.cancelled():
                return  # it gets the next free slots; or it is leaving, and its leaving calls this again
            if self._free < self._total and waiter.adapters != self._adapters:
                return  # it is next when all are free
            if self._turn is not None and not self._turn.allows(waiter.adapters, self._free == self._total):
                return  # it is next in this worker's turn
            queue = self._waiting.pop(key)
            del queue[0]
            if queue:
                self._waiting[key] = queue
            self.waiting -= 1
            self._held[key] += waiter.count
            self._free -= waiter.count
            self._adapters = waiter.adapters
            waiter.granted.set_result(None)

    def _overdue(self, share: int) -> str | None:
        """Returns the key whose first request needs more than its share, and has waited for too long; the longest."""
        before = asyncio.get_running_loop().time() - _OVERDUE_S
        first = {key: queue[0] for key, queue in self._waiting.items() if queue[0].count > share}
        overdue = [key for key, waiter in first.items() if waiter.since <= before]
        return min(overdue, key=lambda key: first[key].since) if overdue else None

    def _share(self) -> int:
        recent = self._recent
        before = asyncio.get_running_loop().time() - _RECENT_S
        while recent and (oldest := next(iter(recent))) is not None and recent[oldest] < before:
            del recent[oldest]
        return -(-self._total // len(recent.keys() | self._held.keys() | self._waiting.keys()))

    def _again_later(self) -> None:
        """Schedules another look, for when a recent key may have been forgotten, or a request may be overdue."""
        if self._timer is None and self._recent:
            forgotten = self._recent[next(iter(self._recent))] + _RECENT_S
            overdue = min(queue[0].since for queue in self._waiting.values()) + _OVERDUE_S
            loop = asyncio.get_running_loop()
            at = min(forgotten, overdue) if overdue > loop.time() else forgotten
            self._timer = loop.call_at(at + 0.001, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._hand_out()
