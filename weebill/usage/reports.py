"""Reports: usage by time and by what it is told apart by, as values. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

import msgspec

from weebill.usage.records import MICRO
from weebill.usage.spans import Bucket, Span

DIMENSIONS: Final = ("organization", "project", "key", "user", "model", "provider", "endpoint", "end_user")
"""Usage is grouped and filtered by these, and by `tag:NAME`. A `user` is the holder of a key, an `end_user` is whom a
client makes a request for.
"""
END_USER: Final = "end_user"
TAG: Final = "tag:"
MOST_GROUPINGS: Final = 4
MOST_VALUES: Final = 100
"""Of a filter."""
MOST_ROWS: Final = 1000
"""On a page."""


class BadReportError(ValueError):
    """A report that cannot be made; `param` is the name of what is wrong with it."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A report: the sums over each bucket of a span, for each combination of values of `group_by` that has any.

    `filters` are the values of a dimension that count. `timezone` is an IANA name, of whose days buckets are.
    """

    span: Span
    bucket: Bucket = "day"
    timezone: str = "UTC"
    group_by: tuple[str, ...] = ()
    filters: Mapping[str, tuple[str, ...]] = {}

    def __post_init__(self) -> None:
        if len(self.group_by) > MOST_GROUPINGS:
            raise BadReportError("group_by", f"at most {MOST_GROUPINGS} dimensions at once")
        if len(set(self.group_by)) < len(self.group_by):
            raise BadReportError("group_by", "a dimension is there twice")
        for name in self.group_by:
            _check(name, "group_by")
        for name, values in self.filters.items():
            _check(name, name)
            if len(values) > MOST_VALUES:
                raise BadReportError(name, f"at most {MOST_VALUES} values at once")
        if len({*filter(is_label, self.group_by), *filter(is_label, self.filters)}) > 1:
            raise BadReportError("group_by", "end_user and tags are summed apart: take one of them, for all of it")

    @property
    def label(self) -> str:
        """The end user or the tag that the report is about, "" if none."""
        return next(filter(is_label, (*self.group_by, *self.filters)), "")


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Sums; `cost_nano` is in nano-dollars, without the `unpriced` requests, whose price is not known.

    `cached_tokens` is a subset of `prompt_tokens`; `failures` are requests that ended neither well nor by their client;
    `rated` are those that clients have rated.
    """

    requests: int
    failures: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_nano: int
    unpriced: int
    rated: int = 0


class Amounts(Counts, frozen=True, kw_only=True):
    """Sums, and that of the scores of what was `rated`, in millionths."""

    score_micro: int = 0

    @property
    def mean_score(self) -> float | None:
        """The mean score, from 0 to 1; None if nothing was rated."""
        return self.score_micro / MICRO / self.rated if self.rated else None

    @property
    def counts(self) -> dict[str, int]:
        """The fields of `Counts`."""
        return {name: getattr(self, name) for name in Counts.__struct_fields__}


class ReportRow(msgspec.Struct, frozen=True):
    """The sums over one bucket and group: the values of the dimensions in their order, None where not known or none."""

    span: Span
    group: tuple[str | None, ...]
    amounts: Amounts


class Page(msgspec.Struct, frozen=True):
    """A part of a report, in the order of time and groups, and where the next one goes on, None at the end."""

    rows: list[ReportRow]
    cursor: str | None = None


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The place where a page goes on: in the bucket that begins at an hour, after a group, or at its beginning."""

    start: int
    after: tuple[str, ...] | None = None


def is_label(dimension: str) -> bool:
    """True for what clients say of a request: its end user, or a tag."""
    return dimension == END_USER or dimension.startswith(TAG)


def encoded(position: Position) -> str:
    """Returns a cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decoded(cursor: str, query: ReportQuery) -> Position:
    """Returns the position that a cursor stands for. Raises BadReportError."""
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = msgspec.json.decode(content, type=Position)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadReportError("cursor", "this is no cursor of a report: pass on `next_cursor` as it came") from error
    fits = position.after is None or len(position.after) == len(query.group_by)
    if not fits or not query.span.start <= position.start < query.span.end:
        raise BadReportError("cursor", "this cursor is of another report: begin again without one")
    return position


def _check(name: str, param: str) -> None:
    if name not in DIMENSIONS and not (name.startswith(TAG) and name != TAG):
        raise BadReportError(param, f"{name!r} is none of {', '.join(DIMENSIONS)} and tag:NAME")
