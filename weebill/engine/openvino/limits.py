"""Limits of numbers in a JSON schema, as an expression of the numbers within them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from weebill.engine.openvino.merging import Json, SchemaError
from weebill.engine.openvino.numbers import ROUGH, Limits, real, whole


def number(told: Mapping[str, Json], *, is_whole: bool) -> str:
    """Returns the expression of the numbers that a schema allows. Raises SchemaError."""
    digits = ROUGH
    if (step := told.get("multipleOf")) is not None:
        exponent = _power_of_ten(step)
        if exponent is None or exponent > 0:
            raise SchemaError(f"has the 'multipleOf' {step}, which is no tenth, hundredth and so on")
        digits = min(digits, -exponent)
    low, above_low = _limit(told, "minimum", "exclusiveMinimum", max)
    high, below_high = _limit(told, "maximum", "exclusiveMaximum", min)
    limits = Limits(low, high, above_low, below_high)
    found = whole(limits) if is_whole or digits == 0 else real(limits, digits)
    if found is None:
        raise SchemaError("has numbers of which there are none")
    return found


def _limit(
    told: Mapping[str, Json], name: str, exclusive: str, tighter: Callable[[list[Decimal]], Decimal]
) -> tuple[Decimal | None, bool]:
    """Returns the tighter of two limits, and whether it is left out itself."""
    given = [
        (Decimal(repr(value)), key == exclusive)
        for key in (name, exclusive)
        if isinstance(value := told.get(key), int | float) and not isinstance(value, bool)
    ]
    if not given:
        return None, False
    best = tighter([value for value, _ in given])
    return best, (best, True) in given


def _power_of_ten(step: Json) -> int | None:
    if not isinstance(step, int | float) or isinstance(step, bool) or step <= 0:
        return None
    sign, digits, exponent = Decimal(repr(step)).normalize().as_tuple()
    return exponent if digits == (1,) and not sign and isinstance(exponent, int) else None
