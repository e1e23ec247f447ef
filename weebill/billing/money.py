"""Amounts of money: whole nano-dollars, the only currency there is."""

from __future__ import annotations

import re
from typing import Final

NANO: Final = 1_000_000_000
NANO_PER_CENT: Final = NANO // 100
MOST_AMOUNT: Final = 9_000_000 * NANO
"""The greatest amount of one transaction: nine million dollars."""
MOST_GIVEN: Final = 2**53 - 1
"""The greatest balance that credits are given up to; every JSON reader represents it exactly."""
MOST_BALANCE: Final = 4_000_000_000 * NANO
"""The greatest balance by what was paid, and the greatest debt: 64 bits have room for twice as much."""
_PLACES: Final = 9
_AMOUNT: Final = re.compile(r"(?P<sign>-?)\$?(?P<whole>[0-9]{0,12})(?:\.(?P<rest>[0-9]{0,9}))?")
_SHOWN_PLACES: Final = 2


def read_dollars(text: str) -> int:
    """Returns the nano-dollars of an amount as people write it: `12`, `12.50`, `$0.000000001`. Raises ValueError.

    >>> read_dollars("12.5"), read_dollars("-$0.000000001")
    (12500000000, -1)
    """
    found = _AMOUNT.fullmatch(text.strip())
    digits = "" if found is None else found["whole"] + (found["rest"] or "").ljust(_PLACES, "0")
    if found is None or not (found["whole"] or found["rest"]) or int(digits) > MOST_BALANCE:
        raise ValueError(f"{text!r} is no amount in dollars, such as 12.50, with at most nine decimals")
    return -int(digits) if found["sign"] else int(digits)


def dollars(nano: int) -> str:
    """Returns an amount in dollars, exactly, with at least two decimals.

    >>> dollars(12_500_000_000), dollars(-1), dollars(0)
    ('12.50', '-0.000000001', '0.00')
    """
    whole, rest = divmod(abs(nano), NANO)
    places = f"{rest:0{_PLACES}}".rstrip("0").ljust(_SHOWN_PLACES, "0")
    return f"{'-' if nano < 0 else ''}{whole}.{places}"
