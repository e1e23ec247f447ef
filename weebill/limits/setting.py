"""Sets, lists and removes limits, for the command line and the management API."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec

from weebill.limits.limit import (
    MOST_OF_ONE,
    BadLimitError,
    Level,
    Limit,
    Measure,
    UnknownLimitError,
    Window,
    checked,
    window_of,
)
from weebill.limits.windows import FOREVER, window_at

MOST_LISTED: Final = 500

T = TypeVar("T")
S = TypeVar("S", bound="LimitFields")


class LimitState(msgspec.Struct, frozen=True, kw_only=True):
    """A limit and its present window: `used` is what the ledger has of it, `reserved` what workers hold, `left` the
    rest. The window ends at `resets_at`, in Unix seconds, None for never.
    """

    limit: Limit
    used: int
    reserved: int
    left: int
    resets_at: int | None


class LimitFields(msgspec.Struct, frozen=True, kw_only=True):
    """A limit and its present window. Spend is in nano-dollars, times are Unix seconds; `model` is None for all."""

    id: int
    level: Level
    subject: str
    measure: Measure
    window: Window
    amount: int
    model: str | None
    created_at: int
    changed_at: int
    used: int
    reserved: int
    left: int
    resets_at: int | None


class LimitShown(LimitFields, frozen=True, kw_only=True, tag_field="object", tag="limit"):
    """A limit in force, and how it stands."""


class LimitRemoved(LimitFields, frozen=True, kw_only=True, tag_field="object", tag="limit.deleted"):
    """A limit that was removed, and how it stood."""


class LimitTable(Protocol):
    """The stored limits within a transaction, oldest first."""

    def subject(self, id_or_name: str) -> str:
        """Returns the id of somebody who can be limited. Raises UnknownLimitError."""

    def in_force(self, subject: str | None, after: int, most: int) -> list[Limit]:
        """Returns at most so many limits that are not removed, after an id, of one subject alone if it is given."""

    def find(self, limit_id: int) -> Limit | None:
        """Returns a limit that is not removed."""

    def add(self, limit: Limit) -> Limit:
        """Stores a limit under the next id; what has been used of its present window counts, as far as it is known."""

    def set_amount(self, limit_id: int, amount: int, now: int) -> None:
        """Gives a limit another amount."""

    def remove(self, limit_id: int, now: int) -> None:
        """Takes a limit out of force."""

    def standing(self, limit_id: int, start: int) -> tuple[int, int]:
        """Returns what is settled and lent of a limit in the window from `start` on."""


class LimitBook(Protocol):
    """The storage of limits. Its methods raise LedgerError."""

    def read(self, query: Callable[[LimitTable], T]) -> T:
        """Returns the result of `query` on the limits as they are at one moment."""

    def change(self, change: Callable[[LimitTable], T]) -> T:
        """Commits the changes of `change`, and returns its result; `change` may be called again."""


class Limits:
    """The limits of an installation."""

    def __init__(self, book: LimitBook, clock: Callable[[], float] = time.time) -> None:
        self._book = book
        self._clock = clock

    def set(self, subject: str, measure: Measure, window: Window | None, amount: int, model: str = "") -> Limit:
        """Sets a limit, in place of the one of the same subject, measure, window and model.

        Without a window it is for that of `window_of`.

        Raises BadLimitError, UnknownLimitError, LedgerError.
        """
        now = int(self._clock())

        def change(table: LimitTable) -> Limit:
            found = table.subject(subject)
            wanted = checked(
                Limit(
                    id=0, subject=found, measure=measure, window=window or window_of(measure), amount=amount,
                    model=model, created_at=now, changed_at=now,
                )
            )  # fmt: skip
            there = table.in_force(found, 0, MOST_OF_ONE)
            for each in there:
                if (each.measure, each.window, each.model) == (wanted.measure, wanted.window, wanted.model):
                    table.set_amount(each.id, amount, now)
                    return msgspec.structs.replace(each, amount=amount, changed_at=now)
            if len(there) >= MOST_OF_ONE:
                raise BadLimitError(f"{found} has {MOST_OF_ONE} limits, and may have no more; remove one.", "subject")
            return table.add(wanted)

        return self._book.change(change)

    def subject(self, id_or_name: str) -> str:
        """Returns the id of whom a limit may be of, by that or by the name of a key.

        Raises UnknownLimitError, LedgerError.
        """
        return self._book.read(lambda table: table.subject(id_or_name))

    def list(self, subject: str | None = None, after: int = 0, most: int = MOST_LISTED) -> list[LimitState]:
        """Returns at most so many limits in force after an id, and how they stand.

        Raises UnknownLimitError, LedgerError.
        """

        def query(table: LimitTable) -> list[LimitState]:
            found = table.in_force(None if subject is None else table.subject(subject), after, most)
            return [self._state(table, each) for each in found]

        return self._book.read(query)

    def show(self, limit_id: int) -> LimitState:
        """Returns a limit and how it stands. Raises UnknownLimitError, LedgerError."""
        return self._book.read(lambda table: self._state(table, _required(table, limit_id)))

    def remove(self, limit_id: int) -> Limit:
        """Takes a limit out of force; returns it. Raises UnknownLimitError, LedgerError."""

        def change(table: LimitTable) -> Limit:
            found = _required(table, limit_id)
            table.remove(limit_id, int(self._clock()))
            return found

        return self._book.change(change)

    def _state(self, table: LimitTable, limit: Limit) -> LimitState:
        start, end = window_at(limit.window, int(self._clock()))
        settled, lent = table.standing(limit.id, start)
        left = max(0, limit.amount - settled - lent)
        return LimitState(
            limit=limit, used=settled, reserved=lent, left=left, resets_at=None if end == FOREVER else end
        )


def shown(state: LimitState, kind: type[S]) -> S:
    """Returns a limit and how it stands, as JSON."""
    fields = {**msgspec.structs.asdict(state), **msgspec.structs.asdict(state.limit)}
    del fields["limit"]
    return kind(**{**fields, "level": state.limit.level, "model": state.limit.model or None})


def _required(table: LimitTable, limit_id: int) -> Limit:
    found = table.find(limit_id)
    if found is None:
        raise UnknownLimitError.of(limit_id)
    return found
