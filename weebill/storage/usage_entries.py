"""Turns usage records into rows of the ledger, and the totals that they add to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from weebill.storage.label_rows import labels_version
from weebill.storage.rollups import KnownSeries, Rolled, Series, Sums, add_to
from weebill.storage.tables.ledger import USAGE_LABELS
from weebill.storage.usage_names import Names, names_of_kinds
from weebill.storage.usage_rows import (
    ASKED,
    DROPPED,
    ENDPOINT,
    KEY,
    KIND,
    OUTCOME,
    SERVED,
    UPSTREAM,
    Kind,
    Rows,
    Uses,
    Value,
    fitting,
    row_of,
)
from weebill.usage.plausibility import flagged, is_doubtful
from weebill.usage.records import Labels, UsageRecord

MAX_KINDS: Final = 8192  # whose row is remembered, and labels
_HOUR_US: Final = 3_600_000_000
_LABELS: Final = ("end_user", "tags")
_MADE_UP: Final = (ASKED, SERVED, DROPPED)
_NO_FAILURES: Final = frozenset({"ok", "client_cancelled"})


@dataclass(slots=True)
class Known:
    """The kinds, names, labels and series that are remembered from one transaction to the next."""

    kinds: dict[Kind, int] = field(default_factory=dict)
    names: dict[int, Names] = field(default_factory=lambda: {at: names_of_kinds(KIND[at]) for at in _MADE_UP})
    labels: dict[Labels, int] = field(default_factory=dict)
    labels_version: int = 0
    series: KnownSeries = field(default_factory=KnownSeries)

    def forget(self) -> None:
        """Knows nothing any more: some may have been inserted by what has been rolled back."""
        self.kinds.clear()
        self.labels.clear()
        self.series.forget()
        for names in self.names.values():
            names.forget()


class Entries:
    """Inserts usage records, in a transaction of the caller's; where that is undone, the caller has `known` forget."""

    def __init__(self, connection: Connection, rows: Rows, known: Known) -> None:
        self._connection = connection
        self._rows = rows
        self._known = known

    def insert(
        self, pieces: Iterable[Iterable[UsageRecord]], rolled: Rolled, uses: Uses, held: list[UsageRecord]
    ) -> int:
        """Inserts all records, adds them to `rolled`, and notes in `uses` when keys were used; returns their number.
        Those that are held to limits are added to `held`.

        Raises the database's error if one breaks the invariants of `UsageRecord`, after some of the others have been
        inserted; nothing is added then.
        """
        # (hour, id of the kind) -> the kind; requests, prompt, cached and completion tokens, nano-dollars, those of
        # unknown price, and the beginning of the latest one
        sums: dict[tuple[int, int], tuple[Kind, list[int]]] = {}
        values: list[Value] = []
        labelled: list[tuple[Labels, tuple[Value, ...]]] = []
        labelled_sums: dict[tuple[int, Kind, Labels], Sums] = {}
        kinds = self._known.kinds
        limited: list[UsageRecord] = []
        for records in pieces:
            for record in records:
                if is_doubtful(record):
                    record = flagged(record)
                if record.held:
                    limited.append(record)
                kind: Kind = (
                    record.key_id, record.model_asked, record.model_served, record.upstream, record.endpoint,
                    record.stream, record.measured, record.status, record.outcome, record.checked, record.dropped,
                    record.cost_reported, record.flags,
                )  # fmt: skip
                kind_id = kinds.get(kind)
                if kind_id is None:
                    kind, kind_id = self._find(kind)
                prompt, cached = record.prompt_tokens, record.cached_tokens
                completion, cost = record.completion_tokens, record.cost_nano
                started_at = record.started_at
                group = (started_at // _HOUR_US, kind_id)
                found = sums.get(group)
                if found is None:
                    found = sums[group] = (kind, [0] * 7)
                sum_ = found[1]
                sum_[0] += 1
                sum_[1] += prompt
                sum_[2] += cached
                sum_[3] += completion
                if cost is None:
                    sum_[5] += 1
                else:
                    sum_[4] += cost
                if started_at > sum_[6]:
                    sum_[6] = started_at
                row = (
                    kind_id, record.request_id, prompt, cached, completion, started_at, record.first_byte_us,
                    record.total_us, record.cache_write_tokens, record.reasoning_tokens, cost, record.attempts,
                    record.arm,
                )  # fmt: skip
                labels = record.labels
                if labels is None:
                    values += row
                    continue
                labelled.append((labels, row))
                failed = kind[OUTCOME] not in _NO_FAILURES
                add_to(
                    labelled_sums,
                    (group[0], kind, labels),
                    [1, prompt, cached, completion, cost or 0, cost is None, failed],
                )
            self._rows.add(values)
        given = self._rows.finish(values, self._with_labels(labelled) if labelled else ())
        if given:
            kinds.update({kind: given[id_] for kind, id_ in kinds.items() if id_ in given})
        held += limited
        for (hour, kind, labels), more in labelled_sums.items():
            add_to(rolled.labelled, (hour, _series(kind), labels), more)
        return _add_up(((hour, kind, found) for (hour, _), (kind, found) in sums.items()), rolled, uses)

    def _with_labels(self, labelled: Iterable[tuple[Labels, tuple[Value, ...]]]) -> list[tuple[Value, ...]]:
        """Returns the rows of entries, the ids of their labels included."""
        version = labels_version(self._connection)
        known = self._known.labels
        if version != self._known.labels_version or len(known) >= MAX_KINDS:
            known.clear()
            self._known.series.labels.clear()
            self._known.labels_version = version
        labelled = list(labelled)
        rows: dict[tuple[str, str], list[Labels]] = {}
        for labels, _ in labelled:
            if labels not in known:
                known[labels] = 0
                rows.setdefault(row_of(labels), []).append(labels)
        ids = self._rows.ids(USAGE_LABELS, _LABELS, list(rows))
        for id_, alike in zip(ids, rows.values(), strict=True):
            known.update(dict.fromkeys(alike, id_))
        return [(*row, known[labels]) for labels, row in labelled]

    def _find(self, kind: Kind) -> tuple[Kind, int]:
        """Returns what is kept of a kind, and its id: that is inserted if it is new, and remembered.

        What clients make up would be kinds without end: names that match an alias's pattern or lead nowhere, and
        fields that nobody knows.
        """
        kept = self._kept(fitting(kind))
        kinds = self._known.kinds
        kind_id = kinds.get(kept)
        if kind_id is None:
            kind_id = self._rows.kind(kept)
            if len(kinds) >= MAX_KINDS:
                kinds.clear()
            kinds[kept] = kind_id
        return kept, kind_id

    def _kept(self, kind: Kind) -> Kind:
        """Returns the kind with no more names apart than there may be."""
        values = list(kind)
        for at in _MADE_UP:
            # What an upstream has served is one of its names; what it refused may be any.
            if at != SERVED or kind[OUTCOME] == "rejected":
                values[at] = self._known.names[at].kept(self._connection, str(kind[at]))
        return tuple(values)


def _series(kind: Kind) -> Series:
    return str(kind[KEY]), str(kind[SERVED]), str(kind[UPSTREAM]), str(kind[ENDPOINT])


def _add_up(found: Iterable[tuple[int, Kind, list[int]]], rolled: Rolled, uses: Uses) -> int:
    """Adds sums by hour and kind to the roll-ups, and notes uses; returns the number of requests."""
    count = 0
    for hour, kind, (*sums, latest) in found:
        requests, key_id = sums[0], str(kind[KEY])
        count += requests
        uses[key_id] = max(latest, uses.get(key_id, 0))
        failures = 0 if kind[OUTCOME] in _NO_FAILURES else requests
        add_to(rolled.hours, (hour, _series(kind)), [*sums, failures])
    return count
