"""Usage records as rows of the ledger, many a statement, and the totals that they add to.

Most of what a record says is said by thousands: its key, its models, how it ended. That is its kind, a row of
`usage_kinds` which is kept once; what is its own is a row of `usage_entries`. The view `usage` joins the two.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from weebill.storage.usage_names import Names
from weebill.usage.plausibility import flagged, is_doubtful
from weebill.usage.records import UsageRecord

Value = str | int | None
Kind = tuple[Value, ...]

MAX_KINDS: Final = 8192  # whose row is remembered
_DAY_US: Final = 86_400_000_000

_KIND: Final = (
    "key_id", "endpoint", "model_asked", "model_served", "upstream", "stream", "measured", "status", "outcome",
    "checked", "dropped", "cost_reported", "flags",
)  # fmt: skip
_ENTRY: Final = (
    "kind", "request_id", "prompt_tokens", "cached_tokens", "completion_tokens", "started_at", "first_byte_us",
    "total_us", "cache_write_tokens", "reasoning_tokens", "cost_nano", "attempts", "arm",
)  # fmt: skip
_SERVED: Final = _KIND.index("model_served")
_OUTCOME: Final = _KIND.index("outcome")
_MADE_UP: Final = (_KIND.index("model_asked"), _SERVED, _KIND.index("dropped"))
_WIDTH: Final = len(_ENTRY)
_ROWS: Final = 64  # in a statement: a quarter cheaper than one by one, and more gain nothing


def _placeholders(count: int) -> str:
    return f"({', '.join('?' * count)})"


_INSERT: Final = f"INSERT INTO usage_entries ({', '.join(_ENTRY)}) VALUES {_placeholders(_WIDTH)}"  # noqa: S608
_INSERT_ROWS: Final = _INSERT + f", {_placeholders(_WIDTH)}" * (_ROWS - 1)
_ADD_KIND: Final = (
    f"INSERT INTO usage_kinds ({', '.join(_KIND)}) VALUES {_placeholders(len(_KIND))} ON CONFLICT DO NOTHING"  # noqa: S608
)
_FIND_KIND: Final = f"SELECT id FROM usage_kinds WHERE ({', '.join(_KIND)}) = {_placeholders(len(_KIND))}"  # noqa: S608
_ADD_UP: Final = """
    INSERT INTO usage_daily
        (day, key_id, model, requests, failures, prompt_tokens, cached_tokens, completion_tokens, cost_nano, unpriced)
    SELECT ?1, key_id, model_served, ?2, iif(outcome IN ('ok', 'client_cancelled'), 0, ?2), ?3, ?4, ?5, ?6, ?7
    FROM usage_kinds WHERE id = ?8
    ON CONFLICT (day, key_id, model) DO UPDATE SET
        requests = requests + excluded.requests,
        failures = failures + excluded.failures,
        unpriced = unpriced + excluded.unpriced,
        -- A sum that is over becomes a REAL, and so the lesser is the number.
        prompt_tokens = min(prompt_tokens + excluded.prompt_tokens, 9223372036854775807),
        cached_tokens = min(cached_tokens + excluded.cached_tokens, 9223372036854775807),
        completion_tokens = min(completion_tokens + excluded.completion_tokens, 9223372036854775807),
        cost_nano = min(cost_nano + excluded.cost_nano, 9223372036854775807)"""
_MOST_SUM: Final = 2**63 - 1


class Entries:
    """Inserts usage records, in a transaction of the caller's; where that is undone, the caller says so by `forget`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._kinds: dict[Kind, int] = {}
        self._names = [Names(connection, _KIND[at]) for at in _MADE_UP]

    def insert(self, pieces: Iterable[Iterable[UsageRecord]]) -> int:
        """Insert all records and add them to the totals; returns their number.

        Raises sqlite3.IntegrityError or OverflowError where one breaks the invariants of `UsageRecord`, after some of
        the others have been inserted.
        """
        # (day, id of the kind) -> requests, prompt, cached and completion tokens, nano-dollars, those of unknown price
        sums: dict[tuple[int, int], list[int]] = {}
        values: list[Value] = []
        chunk = _ROWS * _WIDTH
        kinds = self._kinds
        for records in pieces:
            for record in records:
                if is_doubtful(record):
                    record = flagged(record)
                kind = (
                    record.key_id, record.endpoint, record.model_asked, record.model_served, record.upstream,
                    record.stream, record.measured, record.status, record.outcome, record.checked, record.dropped,
                    record.cost_reported, record.flags,
                )  # fmt: skip
                kind_id = kinds.get(kind)
                if kind_id is None:
                    kind_id = self._find_kind(kind)
                prompt, cached = record.prompt_tokens, record.cached_tokens
                completion, cost = record.completion_tokens, record.cost_nano
                started_at = record.started_at
                group = (started_at // _DAY_US, kind_id)
                found = sums.get(group)
                if found is None:
                    found = sums[group] = [0] * 6
                found[0] += 1
                found[1] += prompt
                found[2] += cached
                found[3] += completion
                if cost is None:
                    found[5] += 1
                else:
                    found[4] += cost
                values += (
                    kind_id, record.request_id, prompt, cached, completion, started_at, record.first_byte_us,
                    record.total_us, record.cache_write_tokens, record.reasoning_tokens, cost, record.attempts,
                    record.arm,
                )  # fmt: skip
            while len(values) >= chunk:
                self._connection.execute(_INSERT_ROWS, values[:chunk])
                del values[:chunk]
        rest = [values[start : start + _WIDTH] for start in range(0, len(values), _WIDTH)]
        self._connection.executemany(_INSERT, rest)
        totals = [(day, *[min(each, _MOST_SUM) for each in found], kind) for (day, kind), found in sums.items()]
        self._connection.executemany(_ADD_UP, totals)
        return sum(total[1] for total in totals)

    def _kept(self, kind: Kind) -> Kind:
        """The kind with no more names apart than there may be."""
        values = list(kind)
        for names, at in zip(self._names, _MADE_UP, strict=True):
            # What an upstream has served is one of its names; what it refused may be any.
            if at != _SERVED or kind[_OUTCOME] == "rejected":
                values[at] = names.kept(str(kind[at]))
        return tuple(values)

    def forget(self) -> None:
        """Know no kinds any more: some may have been inserted by what has been rolled back."""
        self._kinds.clear()
        for names in self._names:
            names.forget()

    def _find_kind(self, kind: Kind) -> int:
        """The id of a kind, which is inserted if it is new, and remembered.

        What clients make up would be kinds without end: names that match an alias's pattern or lead nowhere, and
        fields that nobody knows.
        """
        kept = self._kept(kind)
        if kept != kind and kept in self._kinds:
            return self._kinds[kept]
        kind = kept
        self._connection.execute(_ADD_KIND, kind)
        [(kind_id,)] = self._connection.execute(_FIND_KIND, kind).fetchall()
        if len(self._kinds) >= MAX_KINDS:
            self._kinds.clear()
        self._kinds[kind] = kind_id
        return int(kind_id)
