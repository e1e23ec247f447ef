"""The part of what is written that is logged: so many lines and bytes in each window of time. Pure."""

from __future__ import annotations

import math
from typing import Final

WINDOW_S: Final = 60.0
MOST_LINES: Final = 300
MOST_BYTES: Final = 65_536


class Allowance:
    """Counts what is logged. A window begins with its first line; the time must not run backwards."""

    def __init__(self) -> None:
        self._begun = -math.inf
        self._lines = 0
        self._bytes = 0

    def admits(self, length: int, now: float) -> bool:
        """Counts a line of so many bytes; False if it is too much."""
        if now - self._begun >= WINDOW_S:
            self._begun, self._lines, self._bytes = now, 0, 0
        self._lines += 1
        self._bytes += length
        return self._lines <= MOST_LINES and self._bytes <= MOST_BYTES

    def is_spent(self, now: float) -> bool:
        """True if no line is admitted at this time."""
        spent = self._lines >= MOST_LINES or self._bytes >= MOST_BYTES
        return spent and now - self._begun < WINDOW_S

    def left_s(self, now: float) -> float:
        """Returns the seconds until the window is over."""
        return max(0.0, self._begun + WINDOW_S - now)
