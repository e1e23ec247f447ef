"""What is taken from an upstream's refusal, however odd it is."""

import time
from email.utils import formatdate

import pytest

from weebill.gateway.failures import retry_after_seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (b"7", 7),
        (b" 0 ", 0),
        (b"Mon, 01 Jan 2024 00:00:00 GMT", 0),
        (b"-1", None),
        (b"1.5", None),
        (b"soon", None),
        (b"9" * 5000, None),
        (b"Mon, 01 Jan 2024 00:00:00 +" + b"9" * 20, None),
    ],
)
def test_retry_after(value: bytes | None, seconds: int | None) -> None:
    assert retry_after_seconds(value) == seconds


def test_retry_after_a_date() -> None:
    later = retry_after_seconds(formatdate(time.time() + 100, usegmt=True).encode())
    assert later is not None
    assert 90 <= later <= 100
