"""Reports as people ask for them: names and texts, of a URL's query or of the command line. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Final, get_args

from weebill.usage.reports import DIMENSIONS, MOST_VALUES, TAG, BadReportError, ReportQuery
from weebill.usage.spans import HOUR_S, BadSpanError, Bucket, Span, bucket_at, hour_of, zone_of

DEFAULT_SINCE: Final = "7d"
MOST_BUCKETS: Final = 100_000
OWN: Final = ("start", "end", "bucket", "timezone", "group_by")

_AGO: Final = re.compile(r"(\d{1,5})\s*([hdw])")
_HOURS: Final = {"h": 1, "d": 24, "w": 168}
_BUCKETS: Final[tuple[Bucket, ...]] = get_args(Bucket)
_SHORTEST: Final[Mapping[Bucket, int]] = {"hour": 1, "day": 23, "week": 167, "month": 671, "all": 1 << 31}


def read_query(given: Mapping[str, Sequence[str]], now: float) -> ReportQuery:
    """Returns the report that is asked for: `OWN` names, and dimensions with the values that count.

    Times are Unix seconds, a day or time in ISO 8601 (by the time zone's clocks), or a time ago such as 7d. Without
    `start`, it is of the last seven days; without `end`, up to now. Raises BadReportError.
    """
    try:
        return _read(given, now)
    except BadSpanError as error:
        raise BadReportError(error.param, str(error)) from error


def _read(given: Mapping[str, Sequence[str]], now: float) -> ReportQuery:
    for name in given:
        if name not in OWN and name not in DIMENSIONS and not name.startswith(TAG):
            raise BadReportError(name, f"a report has no {name!r}, but {', '.join((*OWN, *DIMENSIONS))} and tag:NAME")
    timezone = _one(given, "timezone", "UTC")
    zone = zone_of(timezone)
    bucket = _bucket(_one(given, "bucket", "day"))
    following = -(-int(now) // HOUR_S)
    end = _hour(_one(given, "end", ""), "end", now, zone) if given.get("end") else following
    start = _hour(_one(given, "start", DEFAULT_SINCE), "start", now, zone)
    if start >= end:
        raise BadReportError("end", "end is not after start")
    if _AGO.fullmatch(_one(given, "start", DEFAULT_SINCE)) and bucket != "all":
        start = bucket_at(start, Span(0, end), bucket, zone).start  # whole days rather than a part of the first
    if (end - start) // _SHORTEST[bucket] > MOST_BUCKETS:
        raise BadReportError("start", f"more than {MOST_BUCKETS} buckets: take longer ones, or a later start")
    filters = {name: _values(given, name) for name in given if name not in OWN}
    for name, values in filters.items():
        if not values or len(values) > MOST_VALUES:
            raise BadReportError(name, f"give from one to {MOST_VALUES} values")
    group_by = _values(given, "group_by") if "group_by" in given else ()
    return ReportQuery(span=Span(start, end), bucket=bucket, timezone=timezone, group_by=group_by, filters=filters)


def _hour(text: str, param: str, now: float, zone: tzinfo) -> int:
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return max(0, int(now) // HOUR_S - int(ago[1]) * _HOURS[ago[2]])
    if text.isascii() and text.isdigit():
        return hour_of(int(text), param)
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return hour_of(int(moment.timestamp()), param)
    except (OverflowError, OSError, ValueError) as error:
        if isinstance(error, BadSpanError):
            raise
        raise BadReportError(
            param, f"{text!r} is no time: give Unix seconds, a day such as 2026-11-01, or 7d"
        ) from error


def _bucket(text: str) -> Bucket:
    for bucket in _BUCKETS:
        if bucket == text:
            return bucket
    raise BadReportError("bucket", f"{text!r} is none of {', '.join(_BUCKETS)}")


def _one(given: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    values = given.get(name) or (default,)
    if len(values) > 1:
        raise BadReportError(name, f"{name} is there more than once")
    return values[0]


def _values(given: Mapping[str, Sequence[str]], name: str) -> tuple[str, ...]:
    """Returns the values of what may be repeated; dimensions, which have no commas, also in one text."""
    if name != "group_by":
        return tuple(given[name])
    return tuple(part.strip() for text in given[name] for part in text.split(",") if part.strip())
