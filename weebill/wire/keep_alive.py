"""Ollama's `keep_alive`: how long a model stays in memory after a request.

Sources: https://docs.ollama.com/faq ("How do I keep a model loaded in memory") and https://pkg.go.dev/time#ParseDuration
"""

from __future__ import annotations

import math
import re
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.errors import UNREADABLE, ApiError, invalid_value
from weebill.wire.inbound import Json

KEEP_ALIVE: Final = "keep_alive"
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})(ns|us|µs|μs|ms|s|m|h)"
_parts: Final = re.compile(_PART)
_time: Final = re.compile(rf"[+-]?(?:0|(?:{_PART}){{1,8}})")
_decode: Final = msgspec.json.Decoder(float | str).decode


def keep_alive_of(fields: Json) -> float | None:
    """Returns the seconds that a request asks for, `inf` for a negative time; None if it asks for none.

    Raises ApiError 400 for what is no time.
    """
    given = fields.get(KEEP_ALIVE)
    if given is None or bytes(given) == b"null":
        return None
    return _seconds(given)


def _seconds(given: Raw) -> float:
    try:
        value = _decode(given)
    except UNREADABLE as error:
        raise _invalid() from error
    if isinstance(value, float):
        return math.inf if value < 0 else value
    if _time.fullmatch(value) is None:
        raise _invalid()
    seconds = sum([float(number) * _UNITS[unit] for number, unit in _parts.findall(value)])
    return math.inf if value.startswith("-") and seconds else seconds


def _invalid() -> ApiError:
    return invalid_value(KEEP_ALIVE, "expected a number of seconds, or a time such as '5m' or '1h30m'")
