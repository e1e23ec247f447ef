"""The header lines of every answer about the limits of its key: of each kind, about the one with the least left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3600, 60
_TEXTS: Final = 64  # windows end together, so there are few in any second


@dataclass(frozen=True, slots=True)
class Form:
    """The names of the lines, as templates of limit, rest and end; `until` returns the end of a window, at a time, both
    in whole Unix seconds.
    """

    requests: bytes
    tokens: bytes
    both: bytes
    until: Callable[[int, int], bytes]


def span(seconds: int) -> bytes:
    """Returns a time span in OpenAI's form.

    >>> span(1), span(62), span(90_000), span(10**11), span(-1)
    (b'1s', b'1m2s', b'25h0m0s', b'0s', b'0s')
    """
    if not 0 <= seconds <= 400 * _DAY_S:  # it is over, or never ends
        return b"0s"
    hours, minutes, rest = seconds // _HOUR_S, seconds % _HOUR_S // _MINUTE_S, seconds % _MINUTE_S
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, rest)
    return b"%dm%ds" % (minutes, rest) if minutes else b"%ds" % rest


@lru_cache(_TEXTS)
def _span_until(end: int, now: int) -> bytes:
    return span(end - now)


@lru_cache(_TEXTS)
def _moment(end: int, now: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)).encode()


def _form(template: bytes, until: Callable[[int, int], bytes]) -> Form:
    requests, tokens = (template.replace(b"KIND", kind) for kind in (b"requests", b"tokens"))
    return Form(requests, tokens, requests + tokens, until)


OPENAI: Final = _form(
    b"x-ratelimit-limit-KIND: %d\r\nx-ratelimit-remaining-KIND: %d\r\nx-ratelimit-reset-KIND: %b\r\n", _span_until
)
"""Source: https://platform.openai.com/docs/guides/rate-limits"""
ANTHROPIC: Final = _form(
    b"anthropic-ratelimit-KIND-limit: %d\r\nanthropic-ratelimit-KIND-remaining: %d\r\n"
    b"anthropic-ratelimit-KIND-reset: %b\r\n",
    _moment,
)
"""Source: https://docs.claude.com/en/api/rate-limits"""
