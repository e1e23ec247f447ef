"""Times as people write them on the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from weebill.cli.errors import USAGE, CommandError

_SPAN: Final = re.compile(r"(\d{1,6})\s*([smhdw])", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def span_s(text: str, option: str) -> int:
    """Returns the seconds of a time span: `90s`, `15m`, `24h`, `30d`, `2w`, `0`. Raises CommandError."""
    seconds = _span_s(text)
    if seconds is None:
        raise CommandError(f"{option}: {text!r} is no time span", "write it as 15m, 24h, 30d or 2w", USAGE)
    return seconds


def moment(text: str, now: float, option: str) -> int:
    """Returns the Unix time of a day (its beginning) or a time here, or after a time span. Raises CommandError."""
    seconds = _span_s(text)
    try:
        if seconds is not None:
            return int((datetime.fromtimestamp(now).astimezone() + timedelta(seconds=seconds)).timestamp())
        return int(datetime.fromisoformat(text.strip()).astimezone().timestamp())
    except (ValueError, OverflowError, OSError):
        hint = "write it as 30d, or as a day such as 2027-01-31"
        raise CommandError(f"{option}: {text!r} is no time", hint, USAGE) from None


def _span_s(text: str) -> int | None:
    if text.strip() == "0":
        return 0
    found = _SPAN.fullmatch(text.strip())
    return None if found is None else int(found[1]) * _SECONDS[found[2].lower()]
