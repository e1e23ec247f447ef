"""The usage of an experiment's arms, added up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, cast, func, literal_column, select

from weebill.auto.cascade.verdicts import NOT_KNOWN
from weebill.auto.comparison import MEANS, ArmSums, Duration
from weebill.storage.tables.ledger import USAGE
from weebill.storage.tables.types import Fraction

# The second is what the index is of, which neither database works out.
_OF_THE_ARM: Final = and_(USAGE.c.arm == bindparam("arm"), USAGE.c.arm != literal_column("''"))
# By a table of its own: SQLite does not look for the rows of a view by its indexes where it adds them up.
# Whoever gives up on a request says nothing of the model.
_COUNTED: Final = (
    select(USAGE)
    .where(_OF_THE_ARM, USAGE.c.outcome != "client_cancelled")
    .cte("counted")
    .prefix_with("MATERIALIZED", dialect="sqlite")
)


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


def _sum(name: str, power: int) -> ColumnElement[float]:
    value = cast(_COUNTED.c[name], Fraction)
    return func.coalesce(func.sum(value if power == 1 else value * value), cast(0, Fraction))


# An answer of which a check could not tell neither passed nor failed.
_JUDGED: Final = and_(_COUNTED.c.checked != "", func.substr(_COUNTED.c.checked, 1, len(NOT_KNOWN)) != NOT_KNOWN)
_SUMS: Final = select(
    func.count(),
    _number(_COUNTED.c.outcome == "ok"),
    _number(_JUDGED),
    _number(_COUNTED.c.checked == "passed"),
    func.count(_COUNTED.c.cost_nano),
    *(_sum(name, power) for name in MEANS for power in (1, 2)),
).select_from(_COUNTED)


class ArmTables:
    """The `ArmUsage` of `weebill.auto.comparison`, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def sums(self, arm: str) -> ArmSums:
        """Returns the sums over the requests of an arm."""
        requests, answered, judged, passed, priced, *sums = self._connection.execute(_SUMS, {"arm": arm}).one()
        squares = dict(zip(MEANS, zip(sums[::2], sums[1::2], strict=True), strict=True))
        return ArmSums(requests, answered, judged, passed, priced, squares)

    def durations(self, arm: str, duration: Duration, ranks: Iterable[int]) -> list[int]:
        """The durations of those ranks, from 0, among those of the answered requests; in microseconds."""
        found = select(USAGE.c[duration]).where(_OF_THE_ARM, USAGE.c.outcome == "ok").order_by(USAGE.c[duration])
        return [self._connection.execute(found.limit(1).offset(rank), {"arm": arm}).scalar_one() for rank in ranks]
