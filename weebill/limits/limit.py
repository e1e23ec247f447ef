"""Limits as values: whose, of which models, of what, in which window of time, and how much."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final, Literal, Self, get_args

import msgspec

from weebill.config.ledger_errors import LedgerError
from weebill.config.routing import WILDCARD

Measure = Literal["requests", "tokens", "spend", "concurrent"]
Window = Literal["minute", "day", "month", "none"]
Level = Literal["organisation", "project", "user", "key"]

MOST: Final = 2**53 - 1
"""The greatest amount; every JSON reader represents it exactly."""
MOST_OF_ONE: Final = 10
"""The most limits of one subject; a request's record has the ids of all that it is held to."""
OF_CREDITS: Final = WILDCARD
"""The model of a limit that follows credits (`weebill.storage.credit_stops`): people's have none for it."""

_WINDOWS: Final[dict[Measure, tuple[Window, ...]]] = {
    "requests": ("minute", "day", "month", "none"),
    "tokens": ("minute", "day", "month", "none"),
    "spend": ("minute", "day", "month", "none"),
    "concurrent": ("none",),
}
_LEVELS: Final[dict[str, Level]] = {"org_": "organisation", "proj_": "project", "user_": "user", "key_": "key"}
_UNITS: Final = {"requests": "requests", "tokens": "tokens", "concurrent": "requests at once"}
_NANO: Final = 1_000_000_000
_LONGEST_PATTERN: Final = 200


class BadLimitError(LedgerError):
    """A limit cannot be as requested; `param` is the invalid field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class UnknownLimitError(LedgerError):
    """No limit has this id, or there is nobody who could be limited so."""

    @classmethod
    def of(cls, limit_id: int) -> Self:
        """Returns the error of a limit that is not there."""
        return cls(f"There is no limit {limit_id}; `weebill limits list` shows those that there are.")


class SeveralSubjectsError(UnknownLimitError):
    """Several active keys have this name."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """At most `amount` of `measure` in each `window`, of a subject's requests for `model` (a name as requests ask for
    it, in which `*` is any text; "" for all).

    The subject is named by its id, whose prefix tells the level. Spend is in nano-dollars. Ids only grow, and an id
    never gets another subject, model, measure or window. Times are Unix seconds.
    """

    id: int
    subject: str
    measure: Measure
    window: Window
    amount: int
    model: str = ""
    created_at: int = 0
    changed_at: int = 0

    @property
    def level(self) -> Level:
        """The level of the subject."""
        return level_of(self.subject)


def nano_of(dollars: str) -> int:
    """Returns an amount of dollars, such as `2.50`, in nano-dollars. Raises BadLimitError.

    >>> nano_of("2.50"), nano_of("0.000000001")
    (2500000000, 1)
    """
    try:
        nano = Decimal(dollars.strip().removeprefix("$")) * _NANO
    except InvalidOperation:
        nano = Decimal("NaN")
    if not nano.is_finite() or nano != nano.to_integral_value():
        raise BadLimitError(f"{dollars!r} is no amount of dollars, such as 2.50.", "amount")
    return int(nano)


def amount_of(measure: Measure, amount: int) -> str:
    """Returns an amount as people read it.

    >>> amount_of("spend", 1_500_000_000), amount_of("spend", 20), amount_of("tokens", 20)
    ('$1.50', '$0.00000002', '20 tokens')
    """
    if measure != "spend":
        return f"{amount} {_UNITS[measure]}"
    whole, rest = divmod(amount, _NANO)
    return f"${whole}.{f'{rest:09d}'.rstrip('0'):0<2}"


def level_of(subject: str) -> Level:
    """Returns the level of a subject, by the prefix of its id. Raises BadLimitError."""
    for prefix, level in _LEVELS.items():
        if subject.startswith(prefix):
            return level
    known = ", ".join(f"{prefix}... ({level})" for prefix, level in _LEVELS.items())
    raise BadLimitError(f"{subject!r} is no id of somebody who can be limited: {known}.", "subject")


def window_of(measure: Measure) -> Window:
    """Returns the window of a limit that is given none: a minute, or none for spend and requests under way."""
    return "none" if measure in ("spend", "concurrent") else "minute"


def checked(limit: Limit) -> Limit:
    """Returns a limit that may be set. Raises BadLimitError that names the field."""
    level_of(limit.subject)
    if limit.measure not in get_args(Measure):
        raise BadLimitError(f"{limit.measure!r} cannot be limited; {', '.join(_WINDOWS)} can.", "measure")
    windows = _WINDOWS[limit.measure]
    if limit.window not in windows:
        raise BadLimitError(f"A limit of {limit.measure} is for {' or '.join(windows)}.", "window")
    if not 0 <= limit.amount <= MOST:
        raise BadLimitError(f"The amount must be a whole number from 0 to {MOST}.", "amount")
    model = limit.model.strip()
    if len(model) > _LONGEST_PATTERN or not model.isprintable():
        raise BadLimitError(f"{model[:_LONGEST_PATTERN]!r} cannot be a model's name.", "model")
    return msgspec.structs.replace(limit, model="" if model == OF_CREDITS else model)
