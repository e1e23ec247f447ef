"""Notices that the small model's answers are no longer what they were, by signs that every answer shows.

A cumulative sum for each sign and direction (Page, "Continuous inspection schemes", 1954): what an answer is beyond the
mean of the first answers, in their standard deviations, less `SLACK`, is added up while the sum is above 0. Beyond
`LIMIT` it is an alarm. With signs that are normal and independent, that takes some `LIMIT / (shift - SLACK)` answers
(40 for a shift of 0.7 deviations, 280 for one of 0.4), and a false alarm comes once in some 5,000: fewer were the
`FIRST` answers not themselves a sample (20,000 by Siegmund, "Sequential analysis", 1985). Signs that follow the traffic
raise more: then the traffic has changed, which is as good a reason to look again.

A few answers are enough for an alarm if they are strange enough, so a client could raise it again and again, and all
others' requests would go to the large model. So a key with less than `MAJOR` of the newest answers adds no more than
half of `LIMIT` to a sum.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from math import inf
from statistics import fmean, stdev
from typing import Final

SLACK: Final = 0.35
LIMIT: Final = 14.0
FIRST: Final = 100
"""The answers by which those after them are measured."""
MAJOR: Final = 1 / 3
# A deviation of no less than this, for signs that are always the same; and no answer counts as more deviations.
_LEAST: Final = 0.02
_MOST: Final = 4.0


class _Sum:
    """A sum that is 0 or more, and what each key has added to it since it was 0."""

    __slots__ = ("_by_key", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self._by_key: dict[str, float] = {}

    def add(self, value: float, key: str, most: float) -> None:
        """Adds a value, as long as the key has added no more than `most`."""
        before = self._by_key.get(key, 0.0)
        after = self._by_key[key] = min(before + value, max(before, most))
        self.total += after - before
        if self.total <= 0:
            self.total = 0.0
            self._by_key.clear()


class Watch:
    """Watches answers one by one; begins anew after an alarm."""

    def __init__(self) -> None:
        self._newest: deque[str] = deque()
        self._counts: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        self._first: list[Sequence[float]] = []
        self._usual: list[tuple[float, float]] = []
        self._above: list[_Sum] = []
        self._below: list[_Sum] = []

    def add(self, signs: Sequence[float], key: str = "") -> bool:
        """Takes the signs of an answer to a key. Returns True if that raises an alarm."""
        most = self._most(key)
        if not self._usual:
            self._first.append(signs)
            if len(self._first) == FIRST:
                self._usual = [_usual(each) for each in zip(*self._first, strict=True)]
                self._above, self._below = [_Sum() for _ in signs], [_Sum() for _ in signs]
            return False
        pairs = zip(signs, self._usual, strict=True)
        beyond = [max(-_MOST, min(_MOST, (sign - mean) / deviation)) for sign, (mean, deviation) in pairs]
        for above, below, each in zip(self._above, self._below, beyond, strict=True):
            above.add(each - SLACK, key, most)
            below.add(-each - SLACK, key, most)
        if max(each.total for each in (*self._above, *self._below)) <= LIMIT:
            return False
        self._begin()
        return True

    def _most(self, key: str) -> float:
        """Counts one more answer to a key, and returns the most that the key may add to a sum."""
        self._newest.append(key)
        self._counts[key] += 1
        if len(self._newest) > FIRST:
            oldest = self._newest.popleft()
            self._counts[oldest] -= 1
            if not self._counts[oldest]:
                del self._counts[oldest]
        return inf if self._counts[key] >= MAJOR * len(self._newest) else LIMIT / 2


def _usual(values: Sequence[float]) -> tuple[float, float]:
    """Returns the mean and the standard deviation."""
    return fmean(values), max(_LEAST, stdev(values))
