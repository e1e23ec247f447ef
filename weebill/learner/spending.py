"""The cost of audits within the last day, of whatever pair of models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

NANO: Final = 1e9
_DAY_S: Final = 86_400
_BUCKET_S: Final = 60


class Spending:
    """The cost of audits, minute by minute."""

    def __init__(self, spent: Iterable[tuple[int, int]]) -> None:
        """`spent` has times in Unix seconds and nano-dollars."""
        self._by_minute: dict[int, int] = {}
        for at, nano in spent:
            self.add(at, nano)

    def add(self, at: int, nano: int) -> None:
        """Adds the cost of an audit."""
        if nano:
            minute = at // _BUCKET_S
            self._by_minute[minute] = self._by_minute.get(minute, 0) + nano

    def within_a_day(self, now: float) -> int:
        """Returns the cost in nano-dollars, and forgets what is older.

        What lies more than a day ahead comes from a clock that was wrong, and does not count either.
        """
        first, last = (now - _DAY_S) // _BUCKET_S, (now + _DAY_S) // _BUCKET_S
        self._by_minute = {minute: nano for minute, nano in self._by_minute.items() if first <= minute <= last}
        return sum(self._by_minute.values())
