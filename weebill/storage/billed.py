"""The bill of usage: while records are ingested, what they cost is added to what their organisations were billed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sqlalchemy import Connection, bindparam, insert, select, update

from weebill.billing.rates import billed_nano
from weebill.storage.owners import INSTALLATION, Owners
from weebill.storage.postgresql.locks import lock
from weebill.storage.rates import read_rates
from weebill.storage.rollups import Rolled
from weebill.storage.tables.credits import CREDIT_USAGE
from weebill.storage.tables.types import MOST
from weebill.storage.usage_rows import SUMS
from weebill.usage.records import UsageRecord

_COST: Final = SUMS.index("cost_nano")
_UNPRICED: Final = SUMS.index("unpriced")
_SECOND_US: Final = 1_000_000
_OF_ORGANISATION: Final = CREDIT_USAGE.c.organisation == bindparam("of_organisation")
# Nobody else adds until the end of the transaction.
_FIND: Final = (
    select(CREDIT_USAGE.c.billed_nano, CREDIT_USAGE.c.cost_nano, CREDIT_USAGE.c.unpriced)
    .where(_OF_ORGANISATION)
    .with_for_update()
)
_SET: Final = update(CREDIT_USAGE).where(_OF_ORGANISATION)


class Bill:
    """Adds up what is billed for records within a transaction.

    Without rates, what is billed is what it costs, which the roll-ups have; with some, each record is looked at.
    """

    def __init__(self, connection: Connection, owners: Owners) -> None:
        self._connection = connection
        self._rates = read_rates(connection)
        self._owners = owners
        # organisation -> nano-dollars billed, nano-dollars of cost, requests of unknown price
        self._sums: dict[str, list[int]] = {}
        self._pending: dict[str, list[int]] = {}

    def watching(self, pieces: Iterable[Iterable[UsageRecord]]) -> Iterable[Iterable[UsageRecord]]:
        """Returns the pieces, whose records are billed once `take` says that they were inserted."""
        self._pending = {}
        return self._watched(pieces) if self._rates else pieces

    def take(self) -> None:
        """Bills the records of the last `watching`."""
        for organisation, sums in self._pending.items():
            self._add(self._sums, organisation, *sums)
        self._pending = {}

    def finish(self, rolled: Rolled) -> None:
        """Adds the bill to what organisations were billed; `rolled` are the sums of all the records."""
        if not self._rates:
            owners = self._owners.of(series[0] for _, series in rolled.hours)
            for (_, (key_id, *_)), sums in rolled.hours.items():
                owner, cost = owners[key_id] or INSTALLATION, sums[_COST]
                self._add(self._sums, owner.organisation, cost, cost, sums[_UNPRICED])
        # Always in the same order: of two writers one waits for the other, and never each for the other.
        for organisation, (billed, cost, unpriced) in sorted(self._sums.items()):
            add_up(self._connection, organisation, billed, cost, unpriced)

    def _watched(self, pieces: Iterable[Iterable[UsageRecord]]) -> Iterator[list[UsageRecord]]:
        for piece in pieces:
            records = list(piece)
            owners = self._owners.of(record.key_id for record in records)
            for record in records:
                owner, cost = owners[record.key_id] or INSTALLATION, record.cost_nano
                sums = self._pending.get(owner.organisation)
                if sums is None:
                    sums = self._pending[owner.organisation] = [0, 0, 0]
                if cost is None:
                    sums[2] += 1
                else:
                    parts = self._rates.parts(owner.project, record.model_served, record.started_at // _SECOND_US)
                    sums[0] += billed_nano(cost, parts)
                    sums[1] += cost
            yield records

    def _add(self, sums: dict[str, list[int]], organisation: str, billed: int, cost: int, unpriced: int) -> None:
        found = sums.setdefault(organisation, [0, 0, 0])
        found[:] = (min(MOST, each + more) for each, more in zip(found, (billed, cost, unpriced), strict=True))


def add_up(connection: Connection, organisation: str, billed: int, cost: int, unpriced: int) -> None:
    """Adds to what an organisation was billed, what that has cost, and its requests of unknown price."""
    here = {"of_organisation": organisation}
    known = connection.execute(_FIND, here).one_or_none()
    if known is None and connection.dialect.name != "sqlite":
        lock(connection, f"credit usage {organisation}")
        known = connection.execute(_FIND, here).one_or_none()
    sums = [min(MOST, each + more) for each, more in zip(known or (0, 0, 0), (billed, cost, unpriced), strict=True)]
    values = dict(zip(("billed_nano", "cost_nano", "unpriced"), sums, strict=True))
    if known is None:
        connection.execute(insert(CREDIT_USAGE).values(organisation=organisation, **values))
    else:
        connection.execute(_SET, {**here, **values})
