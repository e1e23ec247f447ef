"""Spans of time that reports sum usage over, in hours since 1970: roll-ups know no shorter ones. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Bucket = Literal["hour", "day", "week", "month", "all"]
HOUR_S: Final = 3600
DAY_H: Final = 24
MONTH_H: Final = 31 * DAY_H
"""Stands for a month (UTC) among the lengths of sums, however long it is."""
LATEST_H: Final = 253_402_300_800 // HOUR_S
"""The end of the year 9999."""

_CYCLE_DAYS: Final = 146_097  # of 400 years, after which the calendar is the same
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()


class Part(NamedTuple):
    """The sums over `hours` each from `start` up to `end`, which count once (`sign` 1) or are taken away (-1)."""

    hours: int
    start: int
    end: int
    sign: int


class Span(NamedTuple):
    """The hours from `start` up to `end`, since 1970."""

    start: int
    end: int

    def parts(self) -> list[Part]:
        """Returns what makes it up with the fewest sums: months, days and hours, some of which are taken away."""
        covers = [_signed(1, self.start, self.end)]
        for begin in _around(self.start, _day_of, DAY_H):
            for end in _around(self.end, _day_of, DAY_H):
                if begin < end:
                    days = _of_days(begin, end)
                    covers.append([*_signed(1, self.start, begin), *days, *_signed(1, end, self.end)])
        return min(covers, key=_sums)


class BadSpanError(ValueError):
    """A span that cannot be summed over; `param` says what it is about: start, end, bucket or timezone."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


def month_of(hour: int) -> int:
    """Returns the first hour of the month (UTC) of an hour, also of one that no calendar has.

    >>> month_of(0), month_of(31 * 24 - 1), month_of(31 * 24), month_of(-1)
    (0, 0, 744, -744)
    """
    cycles, day = divmod(hour // DAY_H, _CYCLE_DAYS)
    first = day + 1 - date.fromordinal(_FIRST_DAY + day).day
    return (cycles * _CYCLE_DAYS + first) * DAY_H


def _of_days(start: int, end: int) -> list[Part]:
    covers = [_signed(DAY_H, start, end)]
    for begin in _around(start, month_of, MONTH_H):
        for finish in _around(end, month_of, MONTH_H):
            if begin < finish:
                months = Part(MONTH_H, begin, finish, 1)
                covers.append([*_signed(DAY_H, start, begin), months, *_signed(DAY_H, finish, end)])
    return min(covers, key=_sums)


def _around(hour: int, begin_of: Callable[[int], int], longest: int) -> list[int]:
    """Returns the beginnings of the days or months before an hour and after it; the hour alone, if it is one."""
    before = begin_of(hour)
    return [hour] if before == hour else [before, begin_of(before + longest)]


def _day_of(hour: int) -> int:
    return hour - hour % DAY_H


def _signed(hours: int, start: int, end: int) -> list[Part]:
    """Returns the part from `start` up to `end`; from `end` up to `start`, to be taken away, if that is first."""
    if start == end:
        return []
    return [Part(hours, start, end, 1) if start < end else Part(hours, end, start, -1)]


def _sums(parts: list[Part]) -> int:
    return sum(-(-(part.end - part.start) // part.hours) for part in parts)


def zone_of(name: str) -> tzinfo:
    """Returns the time zone of an IANA name. Raises BadSpanError."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadSpanError("timezone", f"{name!r} is no time zone; give a name such as Europe/Berlin") from None


def hour_of(unix_s: int, param: str) -> int:
    """Returns the hours since 1970 at a whole hour. Raises BadSpanError."""
    hour, rest = divmod(unix_s, HOUR_S)
    if rest:
        raise BadSpanError(param, f"{param} is within an hour: usage is summed by whole hours (UTC)")
    if not 0 <= hour <= LATEST_H:
        raise BadSpanError(param, f"{param} is no time between 1970 and 9999")
    return hour


def buckets(span: Span, bucket: Bucket, zone: tzinfo) -> Iterator[Span]:
    """Yields the buckets of a span in order; those at its ends are cut off there.

    Days, weeks (from Monday) and months begin at midnight in the zone. Raises BadSpanError where that is no whole hour
    in UTC.
    """
    start = span.start
    while start < span.end:
        end = min(span.end, _next(start, bucket, zone, span.end))
        yield Span(start, end)
        start = end


def bucket_at(hour: int, span: Span, bucket: Bucket, zone: tzinfo) -> Span:
    """Returns the bucket of a span in which an hour is. Raises BadSpanError."""
    return Span(max(span.start, _begin(hour, bucket, zone)), min(span.end, _next(hour, bucket, zone, span.end)))


def _begin(hour: int, bucket: Bucket, zone: tzinfo) -> int:
    if bucket in ("hour", "all"):
        return hour if bucket == "hour" else 0
    return _hour(_midnight(hour, bucket, zone))


def _next(hour: int, bucket: Bucket, zone: tzinfo, end: int) -> int:
    if bucket == "hour":
        return hour + 1
    if bucket == "all" or hour >= LATEST_H - 32 * DAY_H:
        return end
    begin = _midnight(hour, bucket, zone)
    if bucket == "month":
        following = (begin.replace(day=1) + timedelta(days=32)).replace(day=1)
    else:
        following = begin + timedelta(days=7 if bucket == "week" else 1)
    return _hour(following)


def _midnight(hour: int, bucket: Bucket, zone: tzinfo) -> datetime:
    """Returns the midnight at which the bucket of an hour begins, by the zone's clocks."""
    there = datetime.fromtimestamp(hour * HOUR_S, zone).replace(minute=0, hour=0, fold=0)
    if bucket == "month":
        return there.replace(day=1)
    return there - timedelta(days=there.weekday()) if bucket == "week" else there


def _hour(midnight: datetime) -> int:
    hour, rest = divmod(int(midnight.timestamp()), HOUR_S)
    if rest:
        raise BadSpanError("timezone", "a day begins within an hour of UTC there, and usage is summed by whole hours")
    return max(0, hour)
