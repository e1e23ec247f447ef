"""Reads how long an upstream wants to be left alone, from its headers and from its message."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

# A longer wait is a mistake rather than an answer.
_LONGEST_S: Final = 366 * 86_400.0
# A number above the first is a moment in seconds since 1970, above the second one in milliseconds.
_MOMENT_S: Final = 1e9
_MOMENT_MS: Final = 1e12
_TELLING: Final = re.compile(rb"retry-after|ratelimit")
_NUMBER: Final = r"\d{1,15}(?:\.\d{1,15})?"
_UNITS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# Go's durations: 20ms, 1s, 7m59.56s, 1h0m5s.
_PARTS: Final = "".join(rf"(?:(?P<{unit}>{_NUMBER}){unit}(?![a-z]))?" for unit in _UNITS)
_DURATION: Final = re.compile(_PARTS)
# OpenAI's and Groq's "Please try again in 7m59.56s.", Azure's "Please retry after 6 seconds."
_SAID: Final = re.compile(rf"\b(?:try again|retry) (?:in|after) (?:({_NUMBER}) seconds?\b|{_PARTS})")
# `RateLimit: "api";r=0;t=55`, of draft-ietf-httpapi-ratelimit-headers.
_POLICY: Final = re.compile(r";\s*r=0\s*;\s*t=(\d{1,9})\b")


def retry_after(status: int, headers: Iterable[tuple[bytes, bytes]], now: float) -> float | None:
    """The wait that an answer's headers ask for, in seconds from `now`; names in lower case. None if they ask for none.

    `retry-after-ms` (OpenAI's, Azure's) is the most exact, then `Retry-After` in seconds or as a date. A 429 with
    neither may still name the limits that are used up, and when each is reset: `x-ratelimit-remaining-tokens` and
    `x-ratelimit-reset-tokens` (OpenAI, Azure, Groq, Cerebras), `anthropic-ratelimit-tokens-remaining` and `-reset`,
    `x-ratelimit-remaining` and `-reset` (OpenRouter, Together, GitHub), `RateLimit` (Hugging Face).
    Sources: RFC 9110, 10.2.3; https://platform.openai.com/docs/guides/rate-limits;
    https://docs.anthropic.com/en/api/rate-limits; https://console.groq.com/docs/rate-limits
    """
    if status < 400:
        return None
    found = {name: value.strip().decode("latin-1") for name, value in headers if _TELLING.search(name)}
    for name, read in _EXPLICIT:
        wait = read(found[name], now) if name in found else None
        if wait is not None:
            return wait
    return _until_reset(found, now) if status == 429 else None


def said(message: str) -> float | None:
    """The wait in seconds that a message asks for in words."""
    match = _SAID.search(message)
    if match is None:
        return None
    return _sane(float(match[1])) if match[1] else _total(match)


def duration(text: str) -> float | None:
    """A duration such as Google's "34.07s" or Go's "7m59.56s" in seconds."""
    match = _DURATION.fullmatch(text)
    return None if match is None else _total(match)


def _until_reset(found: dict[bytes, str], now: float) -> float | None:
    """Until all limits that are used up have been reset."""
    waits = [
        _reset(found.get(name.replace(b"remaining", b"reset"), ""), now)
        for name, left in found.items()
        if b"remaining" in name and _number(left) == 0
    ]
    policy = _POLICY.search(found.get(b"ratelimit", ""))
    if policy is not None:
        waits.append(float(policy[1]))
    return max((wait for wait in waits if wait is not None), default=None)


def _reset(value: str, now: float) -> float | None:
    """A reset as a duration, a number of seconds, a moment since 1970, or a date in RFC 3339."""
    number = _number(value)
    if number is not None:
        moment = number / 1000 if number > _MOMENT_MS else number
        return _sane(moment - now if moment > _MOMENT_S else moment)
    if "T" not in value:
        return duration(value)
    try:
        return _from(datetime.fromisoformat(value), now)
    except ValueError:
        return None


def _seconds(value: str, now: float) -> float | None:
    """A `Retry-After`: seconds, in some servers with a fraction, or a date."""
    number = _number(value)
    if number is not None:
        return _sane(number)
    if not value[:1].isalpha():
        # The parser takes far more for dates than begins with a day's name, as those of HTTP do.
        return None
    try:
        return _from(parsedate_to_datetime(value), now)
    except (ValueError, OverflowError):
        return None


def _milliseconds(value: str, now: float) -> float | None:
    number = _number(value)
    return None if number is None else _sane(number / 1000)


_EXPLICIT: Final[tuple[tuple[bytes, Callable[[str, float], float | None]], ...]] = (
    (b"retry-after-ms", _milliseconds),
    (b"x-ms-retry-after-ms", _milliseconds),
    (b"retry-after", _seconds),
)


def _from(moment: datetime, now: float) -> float | None:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return _sane(aware.timestamp() - now)


def _total(match: re.Match[str]) -> float | None:
    parts = [float(match[unit]) * seconds for unit, seconds in _UNITS.items() if match[unit]]
    return _sane(math.fsum(parts)) if parts else None


def _number(value: str) -> float | None:
    return float(value) if re.fullmatch(_NUMBER, value) else None


def _sane(seconds: float) -> float | None:
    """Never negative; None for what nobody can have meant."""
    return max(0.0, seconds) if seconds <= _LONGEST_S else None
