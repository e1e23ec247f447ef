"""The waits before a process that died is started again."""

from __future__ import annotations

# After a life of this length, the next wait is the shortest again.
STABLE_S = 60.0


class Backoff:
    """Doubling waits between `first_s` and `cap_s`."""

    def __init__(self, first_s: float, cap_s: float) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._next_s = first_s

    def reset(self) -> None:
        """Has the next wait be the shortest again."""
        self._next_s = self._first_s

    def after(self, uptime_s: float) -> float:
        """Returns the seconds to wait after a life of `uptime_s`."""
        if uptime_s >= STABLE_S:
            self.reset()
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, self._cap_s)
        return wait_s
