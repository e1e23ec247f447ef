"""Usage in PostgreSQL, by COPY."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ARRAY, Connection, LargeBinary, any_, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from weebill.storage.postgresql.copying import copy_rows
from weebill.storage.postgresql.locks import lock
from weebill.storage.tables.ledger import USAGE_DAILY, USAGE_ENTRIES, USAGE_KINDS
from weebill.storage.usage_rows import (
    ENTRY,
    KIND,
    WIDTH,
    Kind,
    Totals,
    Value,
    adding,
    fingerprint,
    rows_of_totals,
    without_nul,
)

# SQLSTATEs: a value that its type has not; none where there has to be one; refused by a check; too long for an index.
_REFUSALS: Final = ("22", "23502", "23514", "54")
_TEXTS: Final = tuple(map(ENTRY.index, ("request_id", "attempts", "arm")))

_ADD_KINDS: Final = insert(USAGE_KINDS).on_conflict_do_nothing()
_FIND_KINDS: Final = select(USAGE_KINDS.c.fingerprint, USAGE_KINDS.c.id).where(
    USAGE_KINDS.c.fingerprint == any_(bindparam("fingerprints", type_=ARRAY(LargeBinary)))
)
_ADD_UP: Final = adding(insert(USAGE_DAILY))


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

    def finish(self, values: list[Value]) -> dict[Value, int]:
        """Inserts the new kinds and all rows; returns the ids of those kinds."""
        given = self._insert_kinds() if self._new else {}
        values[::WIDTH] = [given.get(kind, kind) for kind in values[::WIDTH]]
        for at in _TEXTS:
            values[at::WIDTH] = [without_nul(str(text)) for text in values[at::WIDTH]]
        copy_rows(self._connection, USAGE_ENTRIES.name, ENTRY, zip(*[iter(values)] * WIDTH, strict=True))
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

    def add_up(self, totals: Totals) -> None:
        """Adds to the totals of days, in an order that is always the same."""
        self._connection.execute(_ADD_UP, rows_of_totals(totals))

    def _insert_kinds(self) -> dict[Value, int]:
        hashes = sorted(self._new)
        rows = [{**dict(zip(KIND, self._new[each][1], strict=True)), "fingerprint": each} for each in hashes]
        self._connection.execute(_ADD_KINDS, rows)
        found = self._connection.execute(_FIND_KINDS, {"fingerprints": hashes})
        return {self._new[each][0]: id_ for each, id_ in found}
