"""Ollama's `keep_alive`, as Go's ParseDuration reads it."""

from __future__ import annotations

import json
import math

import pytest
from msgspec import Raw

from weebill.wire.errors import ApiError
from weebill.wire.keep_alive import keep_alive_of


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (0, 0.0),
        (90, 90.0),
        (1.5, 1.5),
        (-1, math.inf),
        ("0", 0.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("+10s", 10.0),
        ("-1m", math.inf),
        ("-0s", 0.0),
        ("250ms", 0.25),
        (None, None),
    ],
)
def test_times(given: object, seconds: float | None) -> None:
    assert keep_alive_of({"keep_alive": Raw(json.dumps(given).encode())}) == seconds
    assert keep_alive_of({}) is None


@pytest.mark.parametrize("given", ["", "5", "5 m", "m", "5x", "1e3s", "5m!", True, [], {}, "9" * 40 + "s", "1s" * 99])
def test_what_is_no_time(given: object) -> None:
    with pytest.raises(ApiError, match="Invalid value for 'keep_alive'") as caught:
        keep_alive_of({"keep_alive": Raw(json.dumps(given).encode())})
    assert (caught.value.status, caught.value.detail.param) == (400, "keep_alive")
