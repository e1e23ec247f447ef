"""Notices that the small model's answers are no longer what they were, by signs that every answer shows.

A cumulative sum for each sign and direction (Page, "Continuous inspection schemes", 1954): what an answer is beyond the
mean of the first answers, in their standard deviations, less `SLACK`, is added up while the sum is above 0. Beyond
`LIMIT` it is an alarm. With signs that are normal and independent, that takes some `LIMIT / (shift - SLACK)` answers
(40 for a shift of 0.7 deviations, 280 for one of 0.4), and a false alarm comes once in some 5,000: fewer were the
`FIRST` answers not themselves a sample (20,000 by Siegmund, "Sequential analysis", 1985). Signs that follow the traffic
raise more: then the traffic has changed, which is as good a reason to look again.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

SLACK: Final = 0.35
LIMIT: Final = 14.0
FIRST: Final = 100
"""The answers by which those after them are measured."""
# A deviation of no less than this, for signs that are always the same; and no answer counts as more deviations.
_LEAST: Final = 0.02
_MOST: Final = 4.0


class Watch:
    """Watches answers one by one; begins anew after an alarm."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._first: list[Sequence[float]] = []
        self._usual: list[tuple[float, float]] = []
        self._above: list[float] = []
        self._below: list[float] = []

    def add(self, signs: Sequence[float]) -> bool:
        """Takes the signs of an answer. Returns True if that raises an alarm."""
        if not self._usual:
            self._first.append(signs)
            if len(self._first) == FIRST:
                self._usual = [_usual(each) for each in zip(*self._first, strict=True)]
                self._above = self._below = [0.0] * len(signs)
            return False
        pairs = zip(signs, self._usual, strict=True)
        beyond = [max(-_MOST, min(_MOST, (sign - mean) / deviation)) for sign, (mean, deviation) in pairs]
        self._above = [max(0.0, total + each - SLACK) for total, each in zip(self._above, beyond, strict=True)]
        self._below = [max(0.0, total - each - SLACK) for total, each in zip(self._below, beyond, strict=True)]
        if max(*self._above, *self._below) <= LIMIT:
            return False
        self._begin()
        return True


def _usual(values: Sequence[float]) -> tuple[float, float]:
    """Returns the mean and the standard deviation."""
    mean = sum(values) / len(values)
    return mean, max(_LEAST, sqrt(sum((each - mean) ** 2 for each in values) / (len(values) - 1)))
