"""The slots of a local model, shared out between the keys that ask: no one key keeps the others waiting.

llama.cpp serves who comes first, and knows no keys. So what asks waits here instead, where who leaves is taken from the
queue at once. Only how many are at work is counted: which slot a request gets llama.cpp says, by the prompts that it
has read there before. (Told by `id_slot` to take one that is still at work, it drops what has been read there:
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/server-context.cpp, `get_available_slot`.)
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from weebill.transport.errors import PoolFull, cancelled_unsent

# For so long after its last request a key's share is kept free for its next one.
_RECENT_S: Final = 60.0
_MAX_RECENT: Final = 1000


class _Waiter:
    """One that waits for `count` slots at once."""

    __slots__ = ("count", "granted")

    def __init__(self, count: int, granted: asyncio.Future[None]) -> None:
        self.count = count
        self.granted = granted


class Places:
    """Hands out `total` slots. A key may hold its share, rounded up, of them: all while no other has asked of late.

    As many of a key's requests may wait as there is room left for others, of `max_waiting`: so whoever else comes can
    still wait, too.
    """

    __slots__ = ("_free", "_held", "_max_waiting", "_recent", "_timer", "_total", "_waiting", "waiting")

    def __init__(self, total: int, max_waiting: int) -> None:
        self._total = self._free = total
        self._max_waiting = max_waiting
        self._held: Counter[str] = Counter()
        # By key: first the one that has waited longest since it was given a slot.
        self._waiting: dict[str, list[_Waiter]] = {}
        # When each key asked or was answered last; the oldest first.
        self._recent: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.waiting = 0

    @property
    def idle(self) -> bool:
        """Tells whether none is held or waited for."""
        return self._free == self._total and not self._waiting

    async def take(self, key: str, count: int) -> int:
        """Wait for slots for a request of this key's that is worked on in `count` at once; how many it has taken.

        Raises PoolFull where too many wait already; cancelled, what `cancelled_unsent` gives.
        """
        loop = asyncio.get_running_loop()
        self._note(key, loop.time())
        waiter = _Waiter(min(count, self._total), loop.create_future())
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
            else:  # it was given them in the very moment
                self.give_back(key, waiter.count)
            raise cancelled_unsent() from None
        return waiter.count

    def give_back(self, key: str, count: int) -> None:
        """So many are free again."""
        self._note(key, asyncio.get_running_loop().time())
        self._held[key] -= count
        if not self._held[key]:
            del self._held[key]
        self._free += count
        self._hand_out()

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
        """Give what is free to those who hold least; among these, to who has waited longest since it was given one."""
        while self._free and self._waiting:
            share = self._share()
            held = self._held
            fits = [key for key, queue in self._waiting.items() if held[key] + queue[0].count <= share]
            if fits:
                key = min(fits, key=held.__getitem__)
            elif self._free == self._total and self._recent.keys() <= self._waiting.keys():
                key = next(iter(self._waiting))  # each wants more than its share, and nobody else anything
            else:
                self._again_later()
                return
            waiter = self._waiting[key][0]
            if waiter.count > self._free or waiter.granted.cancelled():
                return  # what comes free next is for it; or it is about to leave, which is looked at again then
            queue = self._waiting.pop(key)
            del queue[0]
            if queue:
                self._waiting[key] = queue
            self.waiting -= 1
            self._held[key] += waiter.count
            self._free -= waiter.count
            waiter.granted.set_result(None)

    def _share(self) -> int:
        recent = self._recent
        before = asyncio.get_running_loop().time() - _RECENT_S
        while recent and (oldest := next(iter(recent))) is not None and recent[oldest] < before:
            del recent[oldest]
        return -(-self._total // len(recent.keys() | self._held.keys() | self._waiting.keys()))

    def _again_later(self) -> None:
        """Look again once those who have asked of late may have been forgotten."""
        if self._timer is None and self._recent:
            at = self._recent[next(iter(self._recent))] + _RECENT_S
            self._timer = asyncio.get_running_loop().call_at(at + 0.001, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._hand_out()
