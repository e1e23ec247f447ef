"""The usage of an experiment's arms, added up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from weebill.auto.cascade.verdicts import NOT_KNOWN
from weebill.auto.comparison import MEANS, ArmSums, Duration

_OF_THE_ARM: Final = "arm = ? AND arm <> ''"  # the second is what the index is of, which SQLite does not work out
# An answer of which a check could not tell neither passed nor failed.
_JUDGED: Final = f"checked <> '' AND checked NOT GLOB '{NOT_KNOWN}*'"
# Whoever gives up on a request says nothing of the model.
_COUNTED: Final = f"{_OF_THE_ARM} AND outcome <> 'client_cancelled'"
_SUMS: Final = (
    # By a table of its own: SQLite does not look for the rows of a view by its indexes where it adds them up.
    f"WITH counted AS MATERIALIZED (SELECT * FROM usage WHERE {_COUNTED}) "  # noqa: S608
    f"SELECT count(*), total(outcome = 'ok'), total({_JUDGED}), total(checked = 'passed'), count(cost_nano), "
    + ", ".join(f"total({each}), total(1.0 * {each} * {each})" for each in MEANS)
    + " FROM counted"
)


class ArmTables:
    """The `ArmUsage` of `weebill.auto.comparison`. Its methods raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def sums(self, arm: str) -> ArmSums:
        """Returns the sums over the requests of an arm."""
        row = self._connection.execute(_SUMS, (arm,)).fetchone()
        requests, answered, judged, passed, priced = map(int, row[:5])
        squares = dict(zip(MEANS, zip(row[5::2], row[6::2], strict=True), strict=True))
        return ArmSums(requests, answered, judged, passed, priced, squares)

    def durations(self, arm: str, duration: Duration, ranks: Iterable[int]) -> list[int]:
        """The durations of those ranks, from 0, among those of the answered requests; in microseconds."""
        query = (
            f"SELECT {duration} FROM usage WHERE {_OF_THE_ARM} AND outcome = 'ok' "  # noqa: S608
            f"ORDER BY {duration} LIMIT 1 OFFSET ?"
        )
        return [self._connection.execute(query, (arm, rank)).fetchone()[0] for rank in ranks]
