"""The learner's rows of single requests: decisions, ratings and audits, with their texts; to export or erase."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, delete, select

from weebill.storage.database import Database
from weebill.storage.tables.outcomes import CONTENTS, DECISIONS, OUTCOMES

AT_ONCE = 500
_SHOWN = ("request_id", "source", "at", "tier", "small", "mid", "large", "judged_by")
_TEXTS = ("question", "small", "large", "comment")


def forget_outcomes(store: Database, request_ids: Sequence[str]) -> int:
    """Deletes what is kept of requests; returns the number of ratings and audits. Raises LedgerError."""
    return sum(store.change(partial(_forget, ids=part)) for part in _parts(request_ids))


def outcomes_of(store: Database, request_ids: Sequence[str]) -> Iterator[Mapping[str, object]]:
    """Yields the ratings and audits of requests, with their texts, if any are kept. Raises LedgerError."""
    for part in _parts(request_ids):
        yield from store.read(partial(_of, ids=part))


def _parts(request_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(request_ids), AT_ONCE):
        yield request_ids[start : start + AT_ONCE]


def _forget(connection: Connection, ids: Sequence[str]) -> int:
    gone = connection.execute(delete(OUTCOMES).where(OUTCOMES.c.request_id.in_(ids))).rowcount  # their texts with them
    connection.execute(delete(DECISIONS).where(DECISIONS.c.request_id.in_(ids)))
    return gone


def _of(connection: Connection, ids: Sequence[str]) -> list[Mapping[str, object]]:
    texts = [CONTENTS.c[name] for name in _TEXTS]
    query = (
        select(*(OUTCOMES.c[name] for name in _SHOWN), *texts)
        .join_from(OUTCOMES, CONTENTS, CONTENTS.c.outcome == OUTCOMES.c.number, isouter=True)
        .where(OUTCOMES.c.request_id.in_(ids))
        .order_by(OUTCOMES.c.number)
    )
    found: list[Mapping[str, object]] = []
    for row in connection.execute(query):
        shown, kept = tuple(row)[: len(_SHOWN)], tuple(row)[len(_SHOWN) :]
        texts_shown = None if kept[0] is None else dict(zip(_TEXTS, kept, strict=True))
        found.append({**dict(zip(_SHOWN, shown, strict=True)), "texts": texts_shown})
    return found
