"""The amounts that a finished request counts for, by its record alone: workers and the ledger agree on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from weebill.limits.limit import Measure

REFUSED: Final = "rejected"
"""The outcome of requests that the gateway refused; they do not count as requests."""
_SEPARATOR: Final = ","


class Counted(NamedTuple):
    """The use of requests: their number, tokens (prompt and completion), nano-dollars."""

    requests: int
    tokens: int
    nano: int


AMOUNT_OF: Final[Mapping[Measure, Callable[[Counted], int]]] = {
    "requests": lambda used: used.requests,
    "tokens": lambda used: used.tokens,
    "spend": lambda used: used.nano,
    "concurrent": lambda used: 0,  # whoever has ended takes no place
}


def written(ids: tuple[int, ...]) -> str:
    """Returns the ids of limits as a request's record has them.

    >>> written((3, 17)), read("3,17"), read("")
    ('3,17', (3, 17), ())
    """
    return _SEPARATOR.join(map(str, ids))


def read(held: str) -> tuple[int, ...]:
    """Returns the ids of the limits that a request was held to, from its record; none from what is no list of ids."""
    return tuple([int(each) for each in held.split(_SEPARATOR) if each.isascii() and each.isdigit()])
