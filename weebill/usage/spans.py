"""Spans of time that reports sum usage over, in hours since 1970: roll-ups know no shorter ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Bucket = Literal["hour", "day", "week", "month", "all"]
HOUR_S: Final = 3600
DAY_H: Final = 24
MOST_PARTS: Final = 3
"""Of a span: days, and hours before and after them."""
LATEST_H: Final = 253_402_300_800 // HOUR_S
"""The end of the year 9999."""


class Span(NamedTuple):
    """The hours from `start` up to `end`, since 1970."""

    start: int
    end: int

    def parts(self) -> list[tuple[int, int, int]]:
        """Returns the spans of days and of hours that make it up: the length of each sum, and the first and end."""
        first, last = -(-self.start // DAY_H) * DAY_H, self.end // DAY_H * DAY_H
        if first >= last:
            return [(1, self.start, self.end)]
        parts = [(1, self.start, first), (DAY_H, first, last), (1, last, self.end)]
        return [part for part in parts if part[1] < part[2]]


class BadSpanError(ValueError):
    """A span that cannot be summed over; `param` says what it is about: start, end, bucket or timezone."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


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
