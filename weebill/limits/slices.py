"""A worker's parts of allowances, and the limits of a key as requests are held to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from weebill.config.routing import WILDCARD
from weebill.limits.limit import Limit
from weebill.routing.directory import SUFFIXES
from weebill.routing.patterns import captured

BETWEEN: Final = "\0"
_MAX_NAMES: Final = 64  # of models that are remembered for one key
_MOST_SLASHES: Final = 2


class Slice:
    """A worker's part of one allowance; `start` and `end` are those of the window, in Unix seconds.

    `granted` is what the ledger process has granted for sure, `rest` that without what was used and is reserved, as of
    the last time that a `tally` was closed; one that is open has counted more since. `amount`, `available` (to all
    workers) and `lent` (to the others) are as of the last answer.

    With a lease in the ledger, it is `leased`; `ended_at` is what was used when its end was asked for, while no
    answer to that has come. `need` and `least` are what waiting requests need in all, and one of them at least.
    Until `dry_until`, by the book's clock, there is no use in asking for `dry_need` or more, unless so
    much is `left`. `seen` is what was used when it was last looked at. While a question about it has no answer it is
    `unsure`: the ledger may hold it for another amount.
    """

    __slots__ = (
        "amount", "available", "dry_need", "dry_until", "end", "ended_at", "granted", "leased", "least", "lent",
        "limit", "need", "rest", "seen", "start", "tally", "unsure",
    )  # fmt: skip

    def __init__(self, limit: Limit, start: int, end: int) -> None:
        self.limit = limit
        self.start = start
        self.end = end
        self.rest = 0
        self.tally: Tally | None = None
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
    def free(self) -> int:
        """The amount that was granted, and neither used nor reserved; below 0 where an upstream charged more than could
        be foreseen.
        """
        tally = self.tally
        return self.rest if tally is None else self.rest - tally.taken

    @free.setter
    def free(self, free: int) -> None:
        if self.tally is not None:
            self.tally.close()
        self.rest = free

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


class Tally:
    """The count of what requests take of slices that are taken together.

    While it is open, `taken` counts for all of its slices, and more than `most` is short of one. The least of all is
    left of `tightest`: `left`, of which `taken` is to be subtracted. Opening it closes those that count for one of its
    slices, so a slice has one that is open, or none. `most` is below 0 while it is closed.
    """

    __slots__ = ("left", "most", "slices", "taken", "tightest")

    def __init__(self, slices: tuple[Slice, ...]) -> None:
        self.slices = slices
        self.taken = 0
        self.most = -1
        self.left = 0
        self.tightest = slices[0]

    def fits(self) -> bool:
        """Brings the slices up to date; True if none has less than was taken of it, and it is open then."""
        self.close()
        most = min([each.free for each in self.slices])
        if most < 0:
            return False
        for each in self.slices:
            if each.tally is not None:
                each.tally.close()
            each.tally = self
        self.most = most
        self.look()
        return True

    def close(self) -> None:
        """Has the slices count by themselves."""
        taken, self.taken, is_open = self.taken, 0, self.most >= 0
        self.most = -1
        for each in self.slices:
            if is_open:
                each.tally = None
                each.rest -= taken
            elif taken:
                each.free -= taken

    def look(self) -> None:
        """Finds what is left and of which slice, where no count is open that knows."""
        self.tightest = min(self.slices, key=_unused)
        self.left = _unused(self.tightest)


def _unused(slice_: Slice) -> int:
    return slice_.free + slice_.available


def tightest(tallies: Sequence[Tally]) -> tuple[Slice, int]:
    """Returns the slice with the least left, and how much that is."""
    found, least = None, 0
    for each in tallies:
        if each.most < 0:
            each.look()
        left = each.left - each.taken
        if found is None or left < least:
            found, least = each, left
    assert found is not None  # noqa: S101 - there are no lines about limits that there are not
    return found.tightest, least if least > 0 else 0


class Short(Exception):  # noqa: N818 - a state rather than an error
    """A request needs more of a slice than there is."""

    def __init__(self, slice_: Slice, need: int) -> None:
        super().__init__(slice_.limit.id, need)
        self.slice = slice_
        self.need = need


@dataclass(frozen=True, slots=True)
class Grant:
    """The slices that requests of a key for a model are held to, between two times in Unix microseconds.

    A request takes one of `requests` for good, and one of `concurrent` while it runs. `held` are the ids of the limits
    as a record has them.
    """

    since_us: int
    until_us: int
    generation: int
    requests: tuple[Tally, ...]
    concurrent: tuple[Tally, ...]
    tokens: tuple[Tally, ...]
    spend: tuple[Tally, ...]
    held: str


class Allowed:
    """The limits of a key, its own and those of its project, organisation and user; `grants` are remembered.

    Where names of models are taken, there may be several, with `BETWEEN` between them: a request may name others that
    are tried after the first.
    """

    __slots__ = ("grants", "limits", "patterns")

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self.limits = limits
        self.patterns = {each.id: each.model.split(WILDCARD) for each in limits if each.model}
        self.grants: dict[str, Grant] = {}

    def remember(self, model: str, grant: Grant) -> None:
        """Remembers a grant for requests for a model."""
        if len(self.grants) >= _MAX_NAMES:
            self.grants.clear()
        self.grants[model if self.patterns else ""] = grant

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
        literals = self.patterns[limit.id]
        if len(literals) == 1:
            return limit.model in names
        return any(captured(literals, name) is not None for name in names)
