"""95% confidence intervals. Pure arithmetic."""

from __future__ import annotations

from math import sqrt
from typing import Final, NamedTuple

from msgspec import Struct

_Z: Final = 1.959964


class Interval(NamedTuple):
    """An estimate, and the bounds that hold in 95 of 100 cases."""

    value: float
    low: float
    high: float


class Bounds(Struct, frozen=True):
    """An interval as programs are shown it, by names."""

    value: float
    low: float
    high: float


def bounds_of(interval: Interval | None) -> Bounds | None:
    """Returns an interval with names, None if it is not known."""
    return None if interval is None else Bounds(*interval)


def proportion(hits: int, total: int) -> Interval | None:
    """Returns the interval of `hits` among `total`, by Wilson's score. Source: Wilson, "Probable inference", 1927."""
    if not total:
        return None
    share, square = hits / total, _Z * _Z
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = _Z * sqrt(share * (1 - share) / total + square / (4 * total * total)) / (1 + square / total)
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def mean(total: float, squares: float, count: int) -> Interval | None:
    """Returns the interval of the mean of `count` values with that sum and sum of squares, by the normal
    approximation.
    """
    if not count:
        return None
    value = total / count
    if count == 1:
        return Interval(value, float("-inf"), float("inf"))
    variance = max(0.0, (squares - total * value) / (count - 1))
    half = _Z * sqrt(variance / count)
    return Interval(value, value - half, value + half)


def ranks(share: float, count: int) -> tuple[int, int, int]:
    """Returns the indexes, among `count` sorted values, of a percentile and the bounds of its interval.

    Source: Conover, "Practical nonparametric statistics", 1999, section 3.2.
    """
    middle = share * count
    half = _Z * sqrt(count * share * (1 - share))
    last = count - 1
    return min(last, int(middle)), max(0, int(middle - half)), min(last, int(middle + half) + 1)


def difference(one: Interval, other: Interval) -> Interval:
    """Returns the interval of `other - one` for independent estimates.

    Source: Zou and Donner, "Construction of confidence limits about effect measures", 2008 (MOVER); for proportions it
    is Newcombe's.
    """
    value = other.value - one.value
    return Interval(
        value,
        value - sqrt((other.value - other.low) ** 2 + (one.high - one.value) ** 2),
        value + sqrt((other.high - other.value) ** 2 + (one.value - one.low) ** 2),
    )
