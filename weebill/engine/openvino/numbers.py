"""Numbers within limits as rules of a grammar, digit by digit, as they are written in JSON.

`ROUGH` digits after the point are all that is written where a number need not be whole.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, NamedTuple

ROUGH: Final = 6
_MOST_DIGITS: Final = 18
# How far beyond a limit that is itself left out a number begins.
_NEXT: Final = 2


class Limits(NamedTuple):
    """The least and the greatest value, None for none; True for one that is left out itself."""

    low: Decimal | None
    high: Decimal | None
    above_low: bool = False
    below_high: bool = False


def whole(limits: Limits) -> str | None:
    """Returns the expression of the whole numbers within limits; None if there are none."""
    low, high = limits.low, limits.high
    least = None if low is None else _up(low, 0, 1 if limits.above_low and low == low.to_integral_value() else 0)
    most = None if high is None else _down(high, 0, 1 if limits.below_high and high == high.to_integral_value() else 0)
    return _signed(least, most, _whole_from)


def real(limits: Limits, digits: int = ROUGH) -> str | None:
    """Returns the expression of the numbers within limits with at most `digits` after the point; None if none."""
    places = min(
        digits,
        max(
            _places(limits.low),
            _places(limits.high),
            _NEXT if limits.above_low or limits.below_high else 0,
        ),
    )
    low = None if limits.low is None else _up(limits.low, places, 1 if limits.above_low else 0)
    high = None if limits.high is None else _down(limits.high, places, 1 if limits.below_high else 0)
    return _signed(low, high, lambda least, most: _real_from(least, most, places, digits))


def _places(limit: Decimal | None) -> int:
    if limit is None:
        return 0
    exponent = limit.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _up(limit: Decimal, places: int, more: int) -> int:
    return int(limit.scaleb(places).to_integral_value(ROUND_CEILING)) + more


def _down(limit: Decimal, places: int, less: int) -> int:
    return int(limit.scaleb(places).to_integral_value(ROUND_FLOOR)) - less


def _signed(low: int | None, high: int | None, within: Callable[[int, int | None], str]) -> str | None:
    if low is not None and high is not None and low > high:
        return None
    parts = []
    if high is None or high >= 0:
        parts.append(within(max(0, low or 0), high))
    if low is None or low < 0:
        parts.append(f'"-" {within(max(0, -high) if high is not None else 0, None if low is None else -low)}')
    return f"({' | '.join(parts)})"


def _whole_from(least: int, most: int | None) -> str:
    """Returns the expression of the whole numbers from `least` to `most`, None for as many digits as fit."""
    top = most if most is not None else 10 ** max(_MOST_DIGITS - 2, len(str(least)) + 2) - 1
    ways = []
    for length in range(len(str(least)), len(str(top)) + 1):
        low = max(least, 0 if length == 1 else 10 ** (length - 1))
        high = min(top, 10**length - 1)
        ways.append((low, high, length))
    # Whole lengths in a row are one: a first digit, and some more.
    full = [length for low, high, length in ways if length > 1 and (low, high) == (10 ** (length - 1), 10**length - 1)]
    found = [_between(str(low), str(high)) for low, high, length in ways if length not in full]
    if full:
        found.append(f"[1-9] [0-9]{{{full[0] - 1},{full[-1] - 1}}}")
    return f"({' | '.join(found)})"


def _real_from(least: int, most: int | None, places: int, digits: int) -> str:
    """Returns the expression of the numbers from `least` to `most`, both in units of the last of `places`."""
    unit = 10**places
    first, first_rest = divmod(least, unit)
    fraction = f'("." [0-9]{{1,{digits}}})?' if digits else ""
    ways = []
    if most is None:
        if first_rest:
            ways.append(_above(first, first_rest, places, digits))
        ways.append(f"{_whole_from(first + bool(first_rest), None)} {fraction}")
        return f"({' | '.join(ways)})"
    last, last_rest = divmod(most, unit)
    if first == last:
        return f"({' | '.join(_inside(first, first_rest, last_rest, places, digits))})"
    if first_rest:
        ways.append(_above(first, first_rest, places, digits))
    if first + bool(first_rest) <= last - 1:
        ways.append(f"{_whole_from(first + bool(first_rest), last - 1)} {fraction}")
    ways += _inside(last, 0, last_rest, places, digits)
    return f"({' | '.join(ways)})"


def _above(first: int, rest: int, places: int, digits: int) -> str:
    """Returns the expression of what begins with `first` and goes on with at least `rest`."""
    more = f" [0-9]{{0,{digits - places}}}" if digits > places else ""
    return f'"{first}." {_between(_padded(rest, places), "9" * places)}{more}'


def _inside(first: int, low: int, high: int, places: int, digits: int) -> list[str]:
    """Returns the expressions of what begins with `first` and goes on with `low` to `high`."""
    ways = [f'"{first}"'] if low == 0 else []
    if not places:
        return ways
    more = f" [0-9]{{0,{digits - places}}}" if digits > places else ""
    if low < high:
        ways.append(f'"{first}." {_between(_padded(low, places), _padded(high - 1, places))}{more}')
    return [*ways, f'"{first}.{_padded(high, places)}"']


def _padded(number: int, places: int) -> str:
    return str(number).rjust(places, "0")


def _between(low: str, high: str) -> str:
    """Returns the expression of the digits from `low` to `high`, which are equally many."""
    if low == high:
        return f'"{low}"'
    same = next(at for at in range(len(low)) if low[at] != high[at])
    if same:
        return f'"{low[:same]}" {_between(low[same:], high[same:])}'
    rest = len(low) - 1
    first, last = int(low[0]), int(high[0])
    if not rest:
        return f"[{first}-{last}]"
    ways = []
    if low[1:] != "0" * rest:
        ways.append(f'"{first}" {_between(low[1:], "9" * rest)}')
        first += 1
    if high[1:] != "9" * rest:
        last -= 1
    if first <= last:
        digit = f"[{first}-{last}]" if first < last else f'"{first}"'
        ways.append(f"{digit} [0-9]{{{rest}}}")
    if high[1:] != "9" * rest:
        ways.append(f'"{high[0]}" {_between("0" * rest, high[1:])}')
    return f"({' | '.join(ways)})"
