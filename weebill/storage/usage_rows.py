"""Usage as rows: their columns, and how each database takes them.

Most of what a record says is said by thousands: its key, its models, how it ended. That is its kind, a row of
`usage_kinds` which is kept once; what is its own is a row of `usage_entries`. The view `usage` joins the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Protocol

import msgspec
from sqlalchemy import Table

from weebill.usage.records import Labels

Value = str | int | None
Kind = tuple[Value, ...]

KIND: Final = (
    "key_id", "model_asked", "model_served", "upstream", "endpoint", "stream", "measured", "status", "outcome",
    "checked", "dropped", "cost_reported", "flags",
)  # fmt: skip
KEY: Final = KIND.index("key_id")
ASKED: Final = KIND.index("model_asked")
SERVED: Final = KIND.index("model_served")
UPSTREAM: Final = KIND.index("upstream")
ENDPOINT: Final = KIND.index("endpoint")
OUTCOME: Final = KIND.index("outcome")
DROPPED: Final = KIND.index("dropped")

ENTRY: Final = (
    "kind", "request_id", "prompt_tokens", "cached_tokens", "completion_tokens", "started_at", "first_byte_us",
    "total_us", "cache_write_tokens", "reasoning_tokens", "cost_nano", "attempts", "arm",
)  # fmt: skip
WIDTH: Final = len(ENTRY)
LABELLED: Final = (*ENTRY, "labels")
"""The columns of the few entries that have labels."""

SUMS: Final = (
    "requests", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano", "unpriced", "failures",
)  # fmt: skip
Uses = dict[str, int]
"""By id of the key: the beginning of its latest request, in Unix microseconds."""

MOST_BYTES: Final = 1000
"""Of a text in an index, a row of which takes some 2,700 in PostgreSQL."""


class Rows(Protocol):
    """The rows of one kind of database, within a transaction."""

    alone: bool
    """True if no other machine writes usage there."""

    def lock(self, segment: str) -> None:
        """Has nobody else change the mark of a segment until the end of the transaction."""

    def kind(self, kind: Kind) -> int:
        """Returns the id of a kind that is not remembered; one below 0 if `finish` is to give it."""

    def add(self, values: list[Value]) -> None:
        """Inserts entries, whose values come one after another, and takes those from the list; or leaves them there."""

    def finish(self, values: list[Value], labelled: Sequence[tuple[Value, ...]]) -> dict[Value, int]:
        """Inserts the rest, and those with labels; returns the ids of the kinds that had none."""

    def refusal(self, error: Exception) -> str:
        """Returns why a table does not take a row, if that is the error that another method has raised; else ""."""

    def ids(self, table: Table, columns: Sequence[str], values: Sequence[tuple[Value, ...]]) -> list[int]:
        """Returns the ids of rows, each of them other values; those that are not there are inserted.

        The table has a `fingerprint` of the columns.
        """

    def add_up(self, table: Table, sums: Sequence[tuple[Value, ...]]) -> None:
        """Adds to totals: a primary key, then `SUMS`. The order is always the same: so none waits for each other."""


def fingerprint(kind: Sequence[Value]) -> bytes:
    """Returns a hash of the values of a kind, by which it is found: the same one on every database."""
    values = [int(value) if isinstance(value, bool) else value for value in kind]
    return blake2b(msgspec.json.encode(values), digest_size=16).digest()


def without_nul(text: str) -> str:
    """Returns a text as PostgreSQL takes it, which knows no NUL characters."""
    return text.replace("\0", "\ufffd")


def fitting(kind: Kind) -> Kind:
    """Returns the kind with texts that every database takes: without NUL characters, and short where an index is."""
    values = [without_nul(value) if isinstance(value, str) else value for value in kind]
    for at in (KEY, SERVED):
        values[at] = str(values[at]).encode()[:MOST_BYTES].decode(errors="ignore")
    return tuple(values)


def row_of(labels: Labels) -> tuple[str, str]:
    """Returns the columns `end_user` and `tags` of labels."""
    return without_nul(labels.user), without_nul(msgspec.json.encode(dict(labels.tags)).decode())
