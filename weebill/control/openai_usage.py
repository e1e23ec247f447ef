"""OpenAI's API of an organisation's usage and costs, for its clients, answered from the roll-ups."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from fastapi import Request, Response
from sqlalchemy import Connection

from weebill.accounts.permissions import Reach, reach_of
from weebill.control.access import Asking
from weebill.control.answers import Json, available
from weebill.control.routing import Routes
from weebill.control.usage import asked_well
from weebill.storage.database import Database
from weebill.storage.usage_reports import bucket_rows
from weebill.usage.reports import Amounts, ReportQuery, ReportRow
from weebill.usage.spans import HOUR_S, LATEST_H, Bucket, Span, bucket_at, buckets, zone_of
from weebill.wire.errors import ApiError

MOST_RESULTS: Final = 10_000
"""In a bucket."""
_UTC: Final = zone_of("UTC")
_NANO: Final = 1_000_000_000
_GENERATION: Final = (
    "chat.completions", "completions", "responses", "messages", "generateContent", "ollama.chat", "ollama.generate",
)  # fmt: skip
# A bucket's width, and how many of them a page has by default and at most.
_WIDTHS: Final[Mapping[str, tuple[Bucket, int, int]]] = {"1d": ("day", 7, 31), "1h": ("hour", 24, 168)}
_DIMENSIONS: Final[Mapping[str, str]] = {
    "project_id": "project", "user_id": "user", "api_key_id": "key", "model": "model",
}  # fmt: skip
_COST_DIMENSIONS: Final[Mapping[str, str]] = {"project_id": "project", "api_key_id": "key", "line_item": "model"}
_FILTERS: Final[Mapping[str, str]] = {
    "project_ids": "project", "user_ids": "user", "api_key_ids": "key", "models": "model",
}  # fmt: skip
_COST_FILTERS: Final[Mapping[str, str]] = {"project_ids": "project", "api_key_ids": "key"}
_PAGING: Final = ("start_time", "end_time", "bucket_width", "group_by", "limit", "page")


def _completions(sums: Amounts) -> Mapping[str, object]:
    return {
        "input_tokens": sums.prompt_tokens,
        "input_cached_tokens": sums.cached_tokens,
        "output_tokens": sums.completion_tokens,
        "num_model_requests": sums.requests,
    }


def _inputs(sums: Amounts) -> Mapping[str, object]:
    return {"input_tokens": sums.prompt_tokens, "num_model_requests": sums.requests}


def _costs(sums: Amounts) -> Mapping[str, object]:
    if sums.unpriced == sums.requests:  # nothing is known of it
        return {}
    return {"amount": {"value": sums.cost_nano / _NANO, "currency": "usd"}}


class _Kind(NamedTuple):
    """One endpoint: the names of its results, and those of ours that it is of; all, if none are named.

    `constant` are groups of which every request is alike here.
    """

    result: str
    shown: Callable[[Amounts], Mapping[str, object]]
    endpoints: tuple[str, ...] = ()
    dimensions: Mapping[str, str] = _DIMENSIONS
    filters: Mapping[str, str] = _FILTERS
    constant: Mapping[str, object] = {}
    widths: tuple[str, ...] = ("1d", "1h")


_KINDS: Final[Mapping[str, _Kind]] = {
    "usage/completions": _Kind(
        "organization.usage.completions.result",
        _completions,
        _GENERATION,
        constant={"batch": False, "service_tier": None},
    ),
    "usage/embeddings": _Kind("organization.usage.embeddings.result", _inputs, ("embeddings",)),
    "usage/moderations": _Kind("organization.usage.moderations.result", _inputs, ("moderations",)),
    "costs": _Kind(
        "organization.costs.result",
        _costs,
        dimensions=_COST_DIMENSIONS,
        filters=_COST_FILTERS,
        widths=("1d",),
    ),
}
_NOT_KEPT: Final[Mapping[str, str]] = {
    "usage/images": "number of images",
    "usage/audio_speeches": "number of characters",
    "usage/audio_transcriptions": "length of recordings",
    "usage/web_search_calls": "number of web searches",
    "usage/vector_stores": "size of vector stores, as there are none",
    "usage/code_interpreter_sessions": "number of sessions, as there are none",
    "usage/file_search_calls": "number of file searches, as there are none",
}


class OpenAIUsageRoutes:
    """`/organization/usage/...` and `/organization/costs`. All run in threads."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self.routes: Routes = {"GET /organization/{name:path}": self._page}

    def _page(self, actor: Asking, request: Request, name: str) -> Response:
        if name in _NOT_KEPT:
            message = (
                f"Weebill keeps no {_NOT_KEPT[name]}; `GET /api/v1/usage/report?group_by=endpoint` has the requests."
            )
            raise ApiError(400, message, code="usage_not_kept")
        kind = _KINDS.get(name)
        if kind is None:
            raise ApiError(404, f"Unknown request URL: {request.method} {request.url.path}.", code="unknown_url")
        asked = _Asked(kind, _given(request), time.time(), reach_of(actor, "usage.read"))
        with asked_well(), available():
            return Json(self._ledger.read(asked.page))


class _Asked:
    """A request for a page. Raises ApiError if it is not valid."""

    def __init__(self, kind: _Kind, given: Mapping[str, Sequence[str]], now: float, reach: Reach | None) -> None:
        self._kind = kind
        self._reach = reach
        for name in given:
            if name not in _PAGING and name not in kind.filters and not (name == "batch" and kind.constant):
                raise _invalid(name, f"{name} is not supported here")
        width = _one(given, "bucket_width", "1d")
        if width == "1m":
            raise _invalid("bucket_width", "usage is summed by the hour: take 1h or 1d")
        if width not in kind.widths:
            raise _invalid("bucket_width", f"bucket_width must be one of {', '.join(kind.widths)}")
        bucket, by_default, most = _WIDTHS[width]
        # The costs of up to half a year of days come at once.
        self._limit = _number(given, "limit", by_default, 1, 180 if kind.widths == ("1d",) else most)
        latest = LATEST_H * HOUR_S
        start = _number(given, "start_time", None, 0, latest)
        end = _number(given, "end_time", math.ceil(now), 0, latest)
        if end <= start:
            raise _invalid("end_time", "end_time must be after start_time")
        everything = Span(0, LATEST_H)
        first = bucket_at(start // HOUR_S, everything, bucket, _UTC).start
        last = bucket_at((end - 1) // HOUR_S, everything, bucket, _UTC).end
        page = _number(given, "page", first * HOUR_S, first * HOUR_S, last * HOUR_S - 1)
        self._span = Span(page // HOUR_S, last)
        self._groups = _listed(given, "group_by")
        for name in self._groups:
            if name not in kind.dimensions and name not in kind.constant:
                known = ", ".join((*kind.dimensions, *kind.constant))
                raise _invalid("group_by", f"{name!r} is none of {known}")
        filters = {ours: tuple(_listed(given, name)) for name, ours in kind.filters.items() if name in given}
        if kind.endpoints:
            filters["endpoint"] = kind.endpoints
        self._nothing = _one(given, "batch", "false") == "true"
        with asked_well():
            self._query = ReportQuery(
                span=self._span,
                bucket=bucket,
                group_by=tuple(kind.dimensions[name] for name in self._groups if name in kind.dimensions),
                filters=filters,
            )

    def page(self, connection: Connection) -> Mapping[str, object]:
        """Returns the page."""
        spans = list(islice(buckets(self._span, self._query.bucket, _UTC), self._limit + 1))
        shown, more = spans[: self._limit], len(spans) > self._limit
        data = [
            {
                "object": "bucket",
                "start_time": span.start * HOUR_S,
                "end_time": span.end * HOUR_S,
                "results": [] if self._nothing else list(self._results(connection, span)),
            }
            for span in shown
        ]
        following = str(spans[-1].start * HOUR_S) if more else None
        return {"object": "page", "data": data, "has_more": more, "next_page": following}

    def _results(self, connection: Connection, span: Span) -> Iterator[Mapping[str, object]]:
        rows = bucket_rows(connection, self._query, span, MOST_RESULTS + 1, self._reach)
        if len(rows) > MOST_RESULTS:
            raise _invalid("group_by", f"a bucket has more than {MOST_RESULTS} results: group by less, or filter")
        for row in rows:
            yield {"object": self._kind.result, **self._kind.shown(row.amounts), **self._group(row)}

    def _group(self, row: ReportRow) -> Mapping[str, object]:
        """Returns the values of all groups; null for those that were not asked for."""
        group: dict[str, object] = dict.fromkeys((*self._kind.dimensions, *self._kind.constant))
        values = iter(row.group)
        for name in self._groups:
            group[name] = next(values) if name in self._kind.dimensions else self._kind.constant[name]
        return group


def _given(request: Request) -> Mapping[str, Sequence[str]]:
    """Returns the parameters; lists are repeated, with brackets after their name or without."""
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name.removesuffix("[]"), []).append(value)
    return found


def _invalid(param: str, message: str) -> ApiError:
    return ApiError(400, f"{message}.", code="invalid_value", param=param)


def _one(given: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    values = given.get(name) or (default,)
    if len(values) > 1:
        raise _invalid(name, f"{name} is there more than once")
    return values[0]


def _number(given: Mapping[str, Sequence[str]], name: str, default: int | None, least: int, most: int) -> int:
    if name not in given and default is not None:
        return default
    text = _one(given, name, "")
    if not text:
        raise _invalid(name, f"{name} is missing")
    if not (text.isascii() and text.isdigit() and len(text) < 16 and least <= int(text) <= most):
        raise _invalid(name, f"{name} must be a number from {least} to {most}")
    return int(text)


def _listed(given: Mapping[str, Sequence[str]], name: str) -> Sequence[str]:
    return [part for text in given.get(name, ()) for part in text.split(",") if part]
