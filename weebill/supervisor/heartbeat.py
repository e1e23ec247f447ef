"""The watch over a child: it gets a Ping again and again, and answers from the loop that does its work.

A starting child cannot answer yet, as it imports, loads and migrates; it must not be idle instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from weebill.process.beats import set_or_due, until_beat
from weebill.process.effort import Effort

# Between two Pings: a hang is noticed at most this much later than the limit. All children get theirs at once.
_INTERVAL_S: Final = 1.0
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
        self._hurried = asyncio.Event()
        self._asked = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []

    def answer(self) -> None:
        """Notes that the child has answered."""
        self._answered.set()
        for number, event in self._waiting:
            if number <= self._asked:
                event.set()
        self._doubt(False)

    async def caught_up(self) -> None:
        """Waits until the child has handled all that it was sent by now, or is gone. It answers in order."""
        answered = asyncio.Event()
        # The answer to a Ping that is under way may have been sent before the child read what came after it.
        waiting = (self._asked + 1, answered)
        self._waiting.append(waiting)
        self._hurried.set()
        try:
            await answered.wait()
        finally:
            self._waiting.remove(waiting)

    def close(self) -> None:
        """Notes that the child is gone: nobody waits for it any more."""
        for _, event in self._waiting:
            event.set()

    async def until_silent(self) -> float:
        """Waits until an answer is overdue; returns the seconds since its Ping."""
        while True:
            self._answered.clear()
            self._hurried.clear()
            self._asked += 1
            self._ask()
            owed_s = overdue_s = 0.0
            effort: Effort | None = None
            while not await _set_within(self._answered, _TICK_S):
                if effort is None:  # nearly all answers come within the first tick, and nothing is to be measured
                    effort = Effort(self._pid)
                    continue
                # Counts ticks rather than a clock: while this process itself stood still, it could read no answer.
                counted_s = effort.counted(_TICK_S)
                owed_s += counted_s
                # If the disk hangs, killing it would lose the work under way, and mend nothing.
                overdue_s += 0.0 if effort.waits_for_disk() else counted_s
                if owed_s >= _DOUBT_S:
                    self._doubt(True)
                if 0 < self._limit_s() <= overdue_s:
                    return owed_s
            await set_or_due(self._hurried, until_beat(_INTERVAL_S))

    def _doubt(self, doubtful: bool) -> None:
        if doubtful != self.doubtful:
            self.doubtful = doubtful
            self._on_doubt()


async def _set_within(event: asyncio.Event, limit_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
    return event.is_set()


async def until_idle(pid: int, limit_s: float) -> None:
    """Waits until a process that should be starting has done nothing for `limit_s`."""
    effort = Effort(pid)
    idle_s = 0.0
    while idle_s < limit_s:
        await asyncio.sleep(_TICK_S)
        idle_s = idle_s + _TICK_S if effort.idled() else 0.0
