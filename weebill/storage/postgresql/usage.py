"""Usage in PostgreSQL, by COPY."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from sqlalchemy import ARRAY, Connection, LargeBinary, Table, any_, bindparam, case, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import DBAPIError

from weebill.storage.postgresql.copying import copy_rows
from weebill.storage.postgresql.locks import lock
from weebill.storage.tables.ledger import USAGE_ENTRIES, USAGE_KINDS
from weebill.storage.tables.types import MOST
from weebill.storage.usage_rows import (
    ENTRY,
    KIND,
    LABELLED,
    SUMS,
    WIDTH,
    Kind,
    Value,
    fingerprint,
    without_nul,
)

# SQLSTATEs: a value that its type has not; none where there has to be one; refused by a check; too long for an index.
_REFUSALS: Final = ("22", "23502", "23514", "54")
_TEXTS: Final = tuple(map(ENTRY.index, ("request_id", "attempts", "arm")))

_FINGERPRINTS: Final = bindparam("fingerprints", type_=ARRAY(LargeBinary))


@cache
def _add_up(table: Table) -> Insert:
    """Returns the statement that inserts into a table of sums, or adds to what is there, up to `MOST`."""
    rows = insert(table)
    sums = {}
    for name in SUMS:
        there, more = table.c[name], rows.excluded[name]
        sums[name] = case((there > MOST - more, MOST), else_=there + more)
    return rows.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)


class PostgresRows:
    """The `Rows` of `weebill.storage.usage_rows`: all of them are inserted by `finish`.

    Kinds are inserted in the order of their fingerprints: of two replicas that insert the same ones, one waits for the
    other, and never each for the other.
    """

    alone = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._new: dict[bytes, tuple[int, Kind]] = {}

    def lock(self, segment: str) -> None:
        """Waits for others that have the segment at hand."""
        lock(self._connection, f"journal mark {segment}")

    def kind(self, kind: Kind) -> int:
        """Returns a number below 0 that stands for the kind until `finish`."""
        number = -1 - len(self._new)
        return self._new.setdefault(fingerprint(kind), (number, kind))[0]

    def add(self, values: list[Value]) -> None:
        """Leaves all values to `finish`."""

    def finish(self, values: list[Value], labelled: Sequence[tuple[Value, ...]]) -> dict[Value, int]:
        """Inserts the new kinds and all rows; returns the ids of those kinds."""
        given = self._insert_kinds() if self._new else {}
        values[::WIDTH] = [given.get(kind, kind) for kind in values[::WIDTH]]
        for at in _TEXTS:
            values[at::WIDTH] = [without_nul(str(text)) for text in values[at::WIDTH]]
        copy_rows(self._connection, USAGE_ENTRIES.name, ENTRY, zip(*[iter(values)] * WIDTH, strict=True))
        if labelled:
            copy_rows(self._connection, USAGE_ENTRIES.name, LABELLED, (_fitted(row, given) for row in labelled))
        return given

    def refusal(self, error: Exception) -> str:
        """Returns why a table does not take a row; "" if that is not the error."""
        if isinstance(error, OverflowError):
            return str(error)
        cause = error.orig if isinstance(error, DBAPIError) else error
        state: object = getattr(cause, "sqlstate", None)
        if not isinstance(state, str) or not state.startswith(_REFUSALS):
            return ""
        return str(cause).partition("\n")[0]  # the row follows, which may be anything

    def ids(self, table: Table, columns: Sequence[str], values: Sequence[tuple[Value, ...]]) -> list[int]:
        """Returns the ids of rows; those that are not there are inserted, in the order of their fingerprints."""
        if not values:
            return []
        hashes = [fingerprint(each) for each in values]
        rows = sorted(zip(hashes, values, strict=True))
        self._connection.execute(
            insert(table).on_conflict_do_nothing(),
            [{**dict(zip(columns, each, strict=True)), "fingerprint": hashed} for hashed, each in rows],
        )
        found = select(table.c.fingerprint, table.c.id).where(table.c.fingerprint == any_(_FINGERPRINTS))
        ids = {hashed: id_ for hashed, id_ in self._connection.execute(found, {"fingerprints": hashes})}  # noqa: C416 - rows are typed
        return [ids[each] for each in hashes]

    def add_up(self, table: Table, sums: Sequence[tuple[Value, ...]]) -> None:
        """Adds to totals."""
        names = (*table.primary_key.columns.keys(), *SUMS)
        self._connection.execute(_add_up(table), [dict(zip(names, each, strict=True)) for each in sums])

    def _insert_kinds(self) -> dict[Value, int]:
        numbers = [number for number, _ in self._new.values()]
        ids = self.ids(USAGE_KINDS, KIND, [kind for _, kind in self._new.values()])
        return dict(zip(numbers, ids, strict=True))


def _fitted(row: tuple[Value, ...], given: dict[Value, int]) -> tuple[Value, ...]:
    """Returns the row of an entry with the id of its kind, and texts that the database takes."""
    values = [without_nul(each) if isinstance(each, str) else each for each in row]
    return (given.get(row[0], row[0]), *values[1:])
