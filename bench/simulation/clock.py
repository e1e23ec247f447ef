"""Virtual time: what is to happen, in order."""

from __future__ import annotations

from collections.abc import Generator
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

T = TypeVar("T")
# What waits yields the seconds that it waits for, and returns what came of it.
Steps = Generator[float, None, T]


class Clock:
    """Runs waiting generators; `now` is seconds since the beginning. Of two at the same time, the first to wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Steps[None]]] = []
        self._order = count()

    def start(self, steps: Steps[None], at: float) -> None:
        """Run `steps` from the moment `at` on."""
        heappush(self._due, (at, next(self._order), steps))

    def run(self) -> None:
        """Until nothing waits any more."""
        while self._due:
            self.now, _, steps = heappop(self._due)
            seconds = next(steps, None)
            if seconds is not None:
                self.start(steps, self.now + seconds)
