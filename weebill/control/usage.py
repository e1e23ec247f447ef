"""The management API's endpoints for usage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Final, Literal

import msgspec
from fastapi import Query, Request

from weebill.accounts.permissions import reach_of
from weebill.control.access import Asking
from weebill.control.answers import Json, available
from weebill.control.listing import Paged
from weebill.control.routing import Routes
from weebill.storage.database import Database
from weebill.storage.usage_reports import report
from weebill.storage.usage_totals import recent, recent_within, summary
from weebill.usage.asked import read_query
from weebill.usage.reports import MOST_ROWS, BadReportError, Counts, ReportQuery, ReportRow
from weebill.usage.spans import HOUR_S, BadSpanError
from weebill.usage.totals import Grouping, UsageShown, UsageTotal
from weebill.wire.errors import ApiError

_PAGING: Final = frozenset({"limit", "cursor"})


class UsageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The sums over all usage, by `by`."""

    object: Literal["list"] = "list"
    by: Grouping
    data: list[UsageTotal]
    total: UsageTotal


class ReportedUsage(Counts, frozen=True, kw_only=True):
    """The sums over a bucket and group. `start` and `end` are Unix seconds; a group's value is null if not known.

    `mean_score` is that of the rated requests, from 0 to 1; null if there are none.
    """

    mean_score: float | None
    start: int
    end: int
    group: dict[str, str | None]


class UsageRoutes:
    """Single requests, totals, and reports. All run in threads."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self.routes: Routes = {
            "GET /usage": self._recent,
            "GET /usage/summary": self._summary,
            "GET /usage/report": self._report,
        }

    def _recent(
        self,
        actor: Asking,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    ) -> Json[Paged[UsageShown]]:
        """Lists requests that one may see, newest first; a page may have few, and the next one more."""
        reach = reach_of(actor, "usage.read")
        with available():
            if reach is None:
                entries = self._ledger.read(lambda connection: recent(connection, limit, cursor))
                following = entries[-1].id if len(entries) == limit else None
            else:
                entries, following = self._ledger.read(
                    lambda connection: recent_within(connection, limit, cursor, reach)
                )
        return Json(Paged(data=[entry.shown() for entry in entries], next_cursor=following))

    def _summary(self, actor: Asking, by: Grouping = "model") -> Json[UsageSummary]:
        """Sums usage that one may see up, by model, key or day."""
        reach = reach_of(actor, "usage.read")
        with available():
            groups, total = self._ledger.read(lambda connection: summary(connection, by, reach))
        return Json(UsageSummary(by=by, data=groups, total=total))

    def _report(
        self,
        actor: Asking,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
        cursor: Annotated[str | None, Query(max_length=5000)] = None,
    ) -> Json[Paged[ReportedUsage]]:
        """Sums usage up by time, and by what it is told apart by."""
        reach = reach_of(actor, "usage.read")
        with asked_well():
            query = read_query(_given(request), time.time())
            with available():
                page = self._ledger.read(lambda connection: report(connection, query, limit, cursor, reach))
        data = [shown(query, row) for row in page.rows]
        return Json(Paged(data=data, next_cursor=page.cursor))


@contextmanager
def asked_well() -> Iterator[None]:
    """Raises ApiError for reports that cannot be made."""
    try:
        yield
    except (BadReportError, BadSpanError) as error:
        raise ApiError(400, f"{error}.", code="invalid_value", param=error.param) from error


def shown(query: ReportQuery, row: ReportRow) -> ReportedUsage:
    """Returns the form of a row of a report in the API."""
    group = dict(zip(query.group_by, row.group, strict=True))
    times = {"start": row.span.start * HOUR_S, "end": row.span.end * HOUR_S}
    return ReportedUsage(**times, group=group, mean_score=row.amounts.mean_score, **row.amounts.counts)


def _given(request: Request) -> Mapping[str, Sequence[str]]:
    given = request.query_params
    return {name: given.getlist(name) for name in given if name not in _PAGING}
