"""A worker's parts of allowances, and the limits of a key as requests are held to them."""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.config.routing import WILDCARD
from weebill.limits.limit import Limit
from weebill.routing.directory import SUFFIXES
from weebill.routing.patterns import captured

BETWEEN: Final = "\0"
_MAX_NAMES: Final = 64  # of models that are remembered for one key
_MOST_SLASHES: Final = 2


class Slice:
    """A worker's part of one allowance; `start` and `end` are those of the window, in Unix seconds.

    `granted` is what the ledger process has granted for sure, `free` that without what was used and is reserved. It
    may be below 0, where an upstream charged more than could be foreseen. `amount`, `available` (to all workers) and
    `lent` (to the others) are as of the last answer.

    With a lease in the ledger, it is `leased`; `ended_at` is what was used when its end was asked for, while no
    answer to that has come. `need` and `least` are what waiting requests need in all, and one of them at least.
    Until `dry_until`, by the book's clock, there is no use in asking for `dry_need` or more, unless so
    much is `left`. `seen` is what was used when it was last looked at. While a question about it has no answer it is
    `unsure`: the ledger may hold it for another amount.
    """

    __slots__ = (
        "amount", "available", "dry_need", "dry_until", "end", "ended_at", "free", "granted", "leased", "least", "lent",
        "limit", "need", "seen", "start", "unsure",
    )  # fmt: skip

    def __init__(self, limit: Limit, start: int, end: int) -> None:
        self.limit = limit
        self.start = start
        self.end = end
        self.free = 0
        self.granted = 0
        self.amount = limit.amount
        self.available = limit.amount
        self.lent = 0
        self.leased = False
        self.ended_at = 0
        self.need = 0
        self.least = 0
        self.dry_until = 0.0
        self.dry_need = 0
        self.seen = -1
        self.unsure = False

    @property
    def used(self) -> int:
        """The amount that was used or is reserved, since the lease began."""
        return self.granted - self.free

    @property
    def left(self) -> int:
        """The amount that may be used yet, as far as this worker knows: `free` is below 0 by what the ledger has not
        ingested yet of what was charged unforeseen.
        """
        return max(0, self.free + self.available)

    def give_back(self) -> None:
        """Takes what is free out of use; the ledger process is to be told then."""
        if self.free > 0:
            self.granted -= self.free
            self.available += self.free
            self.free = 0


class Short(Exception):  # noqa: N818 - a state rather than an error
    """A request needs more of a slice than there is."""

    def __init__(self, slice_: Slice, need: int) -> None:
        super().__init__(slice_.limit.id, need)
        self.slice = slice_
        self.need = need


class Grant(NamedTuple):
    """The slices that requests of a key for a model are held to, between two times in Unix seconds.

    `once` are those of which a request takes one, for good (requests) or while it runs (concurrent). `held` are the
    ids of the limits as a record has them.
    """

    since: int
    until: int
    generation: int
    requests: tuple[Slice, ...]
    concurrent: tuple[Slice, ...]
    once: tuple[Slice, ...]
    tokens: tuple[Slice, ...]
    spend: tuple[Slice, ...]
    held: str


class Allowed:
    """The limits of a key, its own and those of its project, organisation and user; `grants` are remembered.

    Where names of models are taken, there may be several, with `BETWEEN` between them: a request may name others that
    are tried after the first.
    """

    __slots__ = ("_patterns", "grants", "limits")

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self.limits = limits
        self._patterns = {each.id: each.model.split(WILDCARD) for each in limits if each.model}
        self.grants: dict[str, Grant] = {}

    def grant(self, model: str) -> Grant | None:
        """Returns the grant that is remembered for requests for a model."""
        return self.grants.get(model if self._patterns else "")

    def remember(self, model: str, grant: Grant) -> None:
        """Remembers a grant for requests for a model."""
        if len(self.grants) >= _MAX_NAMES:
            self.grants.clear()
        self.grants[model if self._patterns else ""] = grant

    def of(self, model: str) -> list[Limit]:
        """Returns the limits that hold for requests for a model."""
        names = model.split(BETWEEN)
        # A suffix only says how deployments are sorted.
        names += [base for base, _, suffix in (name.rpartition(":") for name in names) if suffix in SUFFIXES]
        # What comes before a slash only says who is to serve it: `openai/gpt-4o`, `openrouter/openai/gpt-4o`.
        for _ in range(_MOST_SLASHES):
            names += [rest for _, slash, rest in (name.partition("/") for name in names) if slash and rest not in names]
        return [each for each in self.limits if not each.model or self._matches(each, names)]

    def _matches(self, limit: Limit, names: list[str]) -> bool:
        literals = self._patterns[limit.id]
        if len(literals) == 1:
            return limit.model in names
        return any(captured(literals, name) is not None for name in names)
