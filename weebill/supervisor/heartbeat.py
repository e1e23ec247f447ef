"""The watch over a child: asked again and again whether it does its work, it answers from the loop that does it.

One that starts cannot answer yet: what it imports, loads and migrates keeps it busy. It is watched for being busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from weebill.supervisor.effort import Effort

# Between an answer and the next question: what is added to the bound at most. The bound alone decides who is innocent.
_INTERVAL_S: Final = 0.5
_TICK_S: Final = 0.25
# From then on a child counts as one that does not answer; no step of ordinary work takes that long.
_DOUBT_S: Final = 2.5


class Heartbeat:
    """Puts the question and counts for how long the answer is owed.

    `ask` sends the question to the process `pid`, `limit_s` says how long an answer may take (0 for no limit; it is
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
        """The child has answered."""
        self._answered.set()
        self._doubt(False)

    async def until_silent(self) -> float:
        """Return when an answer is overdue: the seconds that it has been owed."""
        while True:
            self._answered.clear()
            self._ask()
            owed_s = overdue_s = 0.0
            effort = Effort(self._pid)
            while not await self._answers_within_a_tick():
                # Ticks of its own rather than a clock: while this process stood still itself, nobody could be heard.
                counted_s = effort.counted(_TICK_S)
                owed_s += counted_s
                # On a disk that hangs, to be killed would cost it all that it has under way, and mend nothing.
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
    """Return when a process that should be starting has done nothing for `limit_s`."""
    effort = Effort(pid)
    idle_s = 0.0
    while idle_s < limit_s:
        await asyncio.sleep(_TICK_S)
        idle_s = idle_s + _TICK_S if effort.idled() else 0.0
