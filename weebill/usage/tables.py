"""The storage of usage, as ingestion sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol, TypeVar

from weebill.usage.records import Rating, UsageRecord

T = TypeVar("T")


class UsageTables(Protocol):
    """The storage of usage, and of each segment's mark, within a transaction."""

    @property
    def source(self) -> str:
        """A name for the contents of the ledger; another one once a backup is in their place."""

    def marks(self, present: Collection[str]) -> dict[str, int]:
        """Returns the marks of the segments `present`, and of all others that are known to be of this machine."""

    def mark(self, segment: str) -> int:
        """Returns the present mark of a segment, 0 if it has none. It is this transaction's alone from then on."""

    def set_mark(self, segment: str, offset: int) -> None:
        """Sets the mark of a segment."""

    def end_marks(self, segments: Collection[str]) -> None:
        """Puts away the marks of segments that are gone, for whoever brings a copy of one; `mark` still finds them."""

    def ended(self, segments: Collection[str]) -> set[str]:
        """Returns those of the segments whose marks were put away."""

    def reopen(self, segment: str) -> None:
        """Forgets that a segment was finished, after `mark`."""

    def insert(self, pieces: Iterable[Iterable[UsageRecord]], writer: str = "") -> int:
        """Inserts all the records, or none if it raises; returns their number. What they have used of limits is moved
        from the leases of their writer to what is settled.

        Raises RecordRefusedError if one breaks the invariants of `UsageRecord`, and the errors of `pieces`.
        """

    def rate(self, ratings: Collection[Rating]) -> None:
        """Keeps ratings, until their requests are found. Never refuses one."""

    def release(self, writer: str) -> None:
        """Gives back what a writer holds of limits: it is dead, and all that it has used is settled."""

    def quarantine(self, segment: str, offset: int, line: bytes, reason: str) -> None:
        """Keeps bytes that are no usage record, for people to look at."""


class UsageLedger(Protocol):
    """The ledger, as ingestion changes it."""

    def change(self, change: Callable[[UsageTables], T]) -> T:
        """Returns the result of `change` once all its changes are kept; nothing is changed if it raises.

        It may be called again, on the tables as they were, and so it changes nothing else. Raises LedgerError.
        """

    def stamp(self) -> str:
        """Returns a text that is another one after each change, whoever has made it. Raises LedgerError."""
