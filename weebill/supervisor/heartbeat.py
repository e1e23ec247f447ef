"""The watch over a child: it gets a Ping again and again, and answers from the loop that does its work.

A starting child cannot answer yet, as it imports, loads and migrates; it must not be idle instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from weebill.supervisor.effort import Effort

# Between an answer and the next Ping: a hang is noticed at most this much later than the limit.
_INTERVAL_S: Final = 0.5
_TICK_S: Final = 0.25
# After this time a child counts as one that does not answer; no step of ordinary work takes as long.
_DOUBT_S: Final = 2.5


class Heartbeat:
    """Sends Pings and measures the time without an answer.

    `ask` sends a Ping to the process `pid`, `limit_s` returns the time that an answer may take (0 for no limit; it is
    called again and again), and `on_doubt` is called whenever `doubtful` has changed.
    """

    def __init__(
        self, pid: int, ask: Callable[[], None], limit_s: Callable[[], float], on_doubt: Callable[[], None]
    ) -> None:
        self.doubtful = False
        self._pid = pid
        self._ask = ask
        self._limit_s = limit_s
        self._on_doubt = on_doubt
        self._answered = asyncio.Event()

    def answer(self) -> None:
        """Notes that the child has answered."""
        self._answered.set()
        self._doubt(False)

    async def until_silent(self) -> float:
        """Waits until an answer is overdue; returns the seconds since its Ping."""
        while True:
            self._answered.clear()
            self._ask()
            owed_s = overdue_s = 0.0
            effort = Effort(self._pid)
            while not await self._answers_within_a_tick():
                # Counts ticks rather than a clock: while this process itself stood still, it could read no answer.
                counted_s = effort.counted(_TICK_S)
                owed_s += counted_s
                # If the disk hangs, killing it would lose the work under way, and mend nothing.
                overdue_s += 0.0 if effort.waits_for_disk() else counted_s
                if owed_s >= _DOUBT_S:
                    self._doubt(True)
                if 0 < self._limit_s() <= overdue_s:
                    return owed_s
            await asyncio.sleep(_INTERVAL_S)

    async def _answers_within_a_tick(self) -> bool:
        try:
            await asyncio.wait_for(self._answered.wait(), _TICK_S)
        except TimeoutError:
            return False
        return True

    def _doubt(self, doubtful: bool) -> None:
        if doubtful != self.doubtful:
            self.doubtful = doubtful
            self._on_doubt()


async def until_idle(pid: int, limit_s: float) -> None:
    """Waits until a process that should be starting has done nothing for `limit_s`."""
    effort = Effort(pid)
    idle_s = 0.0
    while idle_s < limit_s:
        await asyncio.sleep(_TICK_S)
        idle_s = idle_s + _TICK_S if effort.idled() else 0.0
