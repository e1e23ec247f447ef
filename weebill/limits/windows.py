"""Windows of time, in UTC. A request belongs to the window in which it began."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from weebill.limits.limit import Window

MINUTE_S: Final = 60
DAY_S: Final = 86_400
FOREVER: Final = 253_402_300_800
"""The end of the window that never ends: the year 10000."""


def window_at(window: Window, at: int) -> tuple[int, int]:
    """Returns the beginning and the end of the window at a time, all in Unix seconds; the end is not part of it.

    >>> window_at("minute", 61), window_at("none", 61)
    ((60, 120), (0, 253402300800))
    """
    match window:
        case "minute":
            start = at - at % MINUTE_S
            return start, start + MINUTE_S
        case "day":
            start = at - at % DAY_S
            return start, start + DAY_S
        case "month":
            return _month(at)
        case "none":
            return 0, FOREVER


def kept_since(window: Window, start: int) -> int:
    """Returns the first window whose count is kept while the one from `start` on is under way."""
    return start - _KEPT_S[window]


def _month(at: int) -> tuple[int, int]:
    day = datetime.fromtimestamp(max(0, at), UTC)
    start = datetime(day.year, day.month, 1, tzinfo=UTC)
    end = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC) if day.year < 9999 else None
    return int(start.timestamp()), FOREVER if end is None else int(end.timestamp())


# Records may come late: a ledger process that was down for a week still counts them where they belong.
_KEPT_S: Final[dict[Window, int]] = {"minute": 7 * DAY_S, "day": 62 * DAY_S, "month": 3660 * DAY_S, "none": 0}
