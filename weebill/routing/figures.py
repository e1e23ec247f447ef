"""Statistics of a deployment: small, of constant size, and without a clock."""

from __future__ import annotations

from collections import deque
from math import exp
from typing import Final

_SAMPLES: Final = 64


class PeakEwma:
    """An average of latencies in seconds that jumps to a peak at once, and decays over `decay_s`.

    Source: "peak EWMA" in Twitter's Finagle, https://twitter.github.io/finagle/guide/Clients.html
    """

    __slots__ = ("_at", "_decay_s", "_value")

    def __init__(self, decay_s: float = 10.0) -> None:
        self._decay_s = decay_s
        self._value = 0.0
        self._at = 0.0

    def add(self, seconds: float, now: float) -> None:
        """Adds a latency that was measured at `now`."""
        if seconds >= self._value:
            self._value = seconds
        else:
            kept = exp((self._at - now) / self._decay_s)
            self._value = seconds + (self._value - seconds) * kept
        self._at = now

    def value(self, now: float) -> float:
        """Returns the average at `now`. It decays without new values, so a slow deployment is tried again. 0 is
        unknown.
        """
        return self._value * exp((self._at - now) / self._decay_s) if self._value else 0.0


class Samples:
    """The last values of a measure, for percentiles."""

    __slots__ = ("_values", "add")

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=_SAMPLES)
        # Adds a value and drops the oldest.
        self.add = self._values.append

    def __len__(self) -> int:
        return len(self._values)

    def percentile(self, share: float) -> float | None:
        """Returns the value that `share` of the last values do not exceed; None without any."""
        if not self._values:
            return None
        ordered = sorted(self._values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Window:
    """Counts events over the last one to two spans of `span_s` seconds."""

    __slots__ = ("_begun", "_current", "_previous", "_span_s")

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._begun = 0.0
        self._current = 0
        self._previous = 0

    def add(self, now: float) -> None:
        """Counts an event."""
        if now - self._begun >= self._span_s:
            self._turn(now)
        self._current += 1

    def count(self, now: float) -> int:
        """Returns the count."""
        if now - self._begun >= self._span_s:
            self._turn(now)
        return self._current + self._previous

    def _turn(self, now: float) -> None:
        passed = now - self._begun
        self._previous = self._current if passed < 2 * self._span_s else 0
        self._current = 0
        self._begun = now
