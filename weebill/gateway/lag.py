"""Measures how late a worker's event loop comes to what is due, as one that stands still comes late to everything.

A timer goes off every `loop_lag_step_s` while requests are under way, and else with the worker's upkeep, so that an
idle worker wakes up no more often for it. A loop that stands still is noticed by its lateness, short by a step at most:
so shorter steps see more, and cost more. Where the system tells for how long the thread has waited for a processor
(Linux), the loop's own part is told apart from that: it is what work or waits of its own took, and not how busy others
keep the machine.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from weebill.process.beats import until_beat
from weebill.telemetry.counters import Counters
from weebill.telemetry.metrics import PART

_IDLE_STEP_S: Final = 0.5
_SPAN_S: Final = 60.0
_LINE_BYTES: Final = 128


class LoopLag:
    """Measures the running loop from `start` to `close`, and tells the metrics.

    `under_way` returns the number of requests; `step_s` is the time between two looks while there are any.
    """

    def __init__(self, counters: Counters, under_way: Callable[[], int], step_s: float) -> None:
        self._under_way = under_way
        self.step_s = step_s
        self._histograms = tuple(counters.loop_lag.durations((part,)) for part in PART.values)
        self._gauge = counters.loop_lag_longest
        self._longest = [0, 0]
        self._longest_before = [0, 0]
        self._span_ends_at = time.monotonic() + _SPAN_S
        self._waits = _Waits()
        self._waited_us = 0
        self._due_at = 0.0
        self.idle = True
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to measure."""
        self._waited_us = self._waits.so_far_us()
        self._after(_IDLE_STEP_S)

    def begin(self) -> None:
        """Measures closely from now on, as a request has begun."""
        if self.idle:
            self.idle = False
            self._waited_us = self._waits.so_far_us()
            self._after(until_beat(self.step_s))

    def tell(self) -> None:
        """Writes what was measured; call it several times a second."""
        for each in self._histograms:
            each.write()
        for part, now, before in zip(PART.values, self._longest, self._longest_before, strict=True):
            self._gauge.set((part,), max(now, before))
        if time.monotonic() >= self._span_ends_at:
            self._span_ends_at = time.monotonic() + _SPAN_S
            self._longest, self._longest_before = [0, 0], self._longest

    def close(self) -> None:
        """Ends the measurement."""
        self._cancel()
        self._waits.close()

    def _after(self, seconds: float) -> None:
        self._cancel()
        self._due_at = time.monotonic() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._measure)

    def _cancel(self) -> None:
        timer = self._timer
        if timer is not None:
            timer.cancel()

    def _measure(self) -> None:
        late_us = max(0, int((time.monotonic() - self._due_at) * 1e6))
        before, self._waited_us = self._waited_us, self._waits.so_far_us()
        own_us = max(0, late_us - (self._waited_us - before))
        for at, lag_us in enumerate((late_us, own_us)):
            self._histograms[at].add(lag_us)
            self._longest[at] = max(self._longest[at], lag_us)
        self.idle = not self._under_way()
        self._after(until_beat(_IDLE_STEP_S if self.idle else self.step_s))


class _Waits:
    """The time that this thread has waited for a processor; 0 where the system does not tell."""

    def __init__(self) -> None:
        self._descriptor = -1
        with suppress(OSError):
            self._descriptor = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)

    def so_far_us(self) -> int:
        """Returns the microseconds."""
        if self._descriptor < 0:
            return 0
        # Nanoseconds that it ran and that it waited, and how often: https://docs.kernel.org/scheduler/sched-stats.html
        return int(os.pread(self._descriptor, _LINE_BYTES, 0).split()[1]) // 1000

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
