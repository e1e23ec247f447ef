"""How long to leave an upstream alone, by whichever of its headers or words say so."""

from email.utils import formatdate

import pytest

from weebill.providers import waits

NOW = 1_790_000_000.0
DATE = formatdate(NOW + 100, usegmt=True).encode()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"7", 7),
        (b" 0 ", 0),
        (b"1.5", 1.5),
        (DATE, 100),
        (b"Mon, 01 Jan 2024 00:00:00 GMT", 0),
        (b"-1", None),
        (b"soon", None),
        (b"", None),
        (b"9" * 5000, None),
        (b"999999999999999", None),
        (b"inf", None),
        (b"Mon, 01 Jan 2024 00:00:00 +" + b"9" * 20, None),
        ("١٢".encode(), None),
    ],
)
def test_retry_after(value: bytes, seconds: float | None) -> None:
    assert waits.retry_after(503, [(b"retry-after", value)], NOW) == seconds


LIMITS = {
    "milliseconds come first": ({"retry-after": "2", "retry-after-ms": "1250"}, 1.25),
    "azure": ({"x-ms-retry-after-ms": "300"}, 0.3),
    "milliseconds that are none": ({"retry-after": "2", "retry-after-ms": "?"}, 2),
    "openai": (
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        1,
    ),
    "groq": ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2m59.56s"}, 179.56),
    "all limits that are used up": (
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-requests": "20ms",
            "x-ratelimit-reset-tokens": "1h0m5s",
        },
        3605,
    ),
    "cerebras": (
        {"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "11.382"},
        11.382,
    ),
    "anthropic": (
        {
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-09-21T14:20:00Z",
            "anthropic-ratelimit-input-tokens-remaining": "0",
            "anthropic-ratelimit-input-tokens-reset": "2026-09-21T14:13:30Z",
        },
        10,
    ),
    "openrouter": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1790000030500"}, 30.5),
    "a moment in seconds": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1790000030"}, 30),
    "hugging face": ({"ratelimit": '"api";r=0;t=55', "ratelimit-policy": '"fixed window";"api";q=500;w=300'}, 55),
    "hugging face, not used up": ({"ratelimit": '"api";r=5;t=55'}, None),
    "no reset": ({"x-ratelimit-remaining-requests": "0"}, None),
    "a reset that is none": ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, None),
    "nothing used up": ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1s"}, None),
    "other headers": ({"content-type": "application/json"}, None),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_of_a_429(name: str) -> None:
    headers, seconds = LIMITS[name]
    found = waits.retry_after(429, [(key.encode(), value.encode()) for key, value in headers.items()], NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_limits_say_nothing_of_other_failures() -> None:
    headers = [(b"x-ratelimit-remaining-requests", b"0"), (b"x-ratelimit-reset-requests", b"1s")]
    assert waits.retry_after(500, headers, NOW) is None
    assert waits.retry_after(301, [(b"retry-after", b"1")], NOW) is None


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        (
            "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000. Please try again in 7m59.56s. Visit …",
            479.56,
        ),
        ("Please try again in 20ms.", 0.02),
        ("Please retry after 6 seconds.", 6),
        ("Please retry after 1 second.", 1),
        ("Please try again in a moment.", None),
        ("Slow down; try again in 5 days", None),
        ("", None),
    ],
)
def test_what_a_message_says(message: str, seconds: float | None) -> None:
    assert waits.said(message) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(("text", "seconds"), [("34.070000001s", 34.070000001), ("0s", 0), ("", None), ("s", None)])
def test_durations(text: str, seconds: float | None) -> None:
    assert waits.duration(text) == seconds


@pytest.mark.parametrize("value", [b"1" * 8000, b"1m" * 4000, b"1.1" * 2000, b"9" * 15 + b"d"])
def test_absurd_values_say_nothing(value: bytes) -> None:
    headers = [(b"retry-after", value), (b"x-ratelimit-remaining", b"0"), (b"x-ratelimit-reset", value)]
    assert waits.retry_after(429, headers, NOW) is None
