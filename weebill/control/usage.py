"""The management API's endpoints for usage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request, Response

from weebill.control.answers import Json, available
from weebill.storage.database import Database
from weebill.storage.usage_reports import report
from weebill.storage.usage_totals import recent, summary
from weebill.usage.asked import read_query
from weebill.usage.reports import MOST_ROWS, BadReportError, ReportQuery, ReportRow
from weebill.usage.spans import HOUR_S, BadSpanError
from weebill.usage.totals import Grouping
from weebill.wire.errors import ApiError

_PAGING: Final = frozenset({"limit", "cursor"})


class UsageRoutes:
    """Single requests, totals, and reports. All run in threads."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self.router = APIRouter()
        self.router.add_api_route("/usage", self._recent)
        self.router.add_api_route("/usage/summary", self._summary)
        self.router.add_api_route("/usage/report", self._report)

    def _recent(
        self,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    ) -> Response:
        with available():
            entries = self._ledger.read(lambda connection: recent(connection, limit, cursor))
        following = entries[-1].id if len(entries) == limit else None
        return Json({"object": "list", "data": [entry.shown() for entry in entries], "next_cursor": following})

    def _summary(self, by: Grouping = "model") -> Response:
        with available():
            groups, total = self._ledger.read(lambda connection: summary(connection, by))
        return Json({"object": "list", "by": by, "data": groups, "total": total})

    def _report(
        self,
        request: Request,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
        cursor: Annotated[str | None, Query(max_length=5000)] = None,
    ) -> Response:
        with asked_well():
            query = read_query(_given(request), time.time())
            with available():
                page = self._ledger.read(lambda connection: report(connection, query, limit, cursor))
        data = [shown(query, row) for row in page.rows]
        return Json({"object": "list", "data": data, "next_cursor": page.cursor})


@contextmanager
def asked_well() -> Iterator[None]:
    """Raises ApiError for reports that cannot be made."""
    try:
        yield
    except (BadReportError, BadSpanError) as error:
        raise ApiError(400, f"{error}.", code="invalid_value", param=error.param) from error


def shown(query: ReportQuery, row: ReportRow) -> Mapping[str, object]:
    """Returns the form of a row of a report in the API."""
    group = dict(zip(query.group_by, row.group, strict=True))
    times = {"start": row.span.start * HOUR_S, "end": row.span.end * HOUR_S}
    return {**times, "group": group, **msgspec.structs.asdict(row.amounts)}


def _given(request: Request) -> Mapping[str, Sequence[str]]:
    given = request.query_params
    return {name: given.getlist(name) for name in given if name not in _PAGING}
