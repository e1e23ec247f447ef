"""The tables of ratings: of requests that were found, and of those that are not found yet."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Table, TypedColumns

from weebill.storage.tables.ledger import LEDGER
from weebill.storage.tables.types import String, Whole


class _UsageRatings(TypedColumns):
    entry = Column(Whole, ForeignKey("usage_entries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)
    key_id = Column(String, nullable=False)
    rated_at = Column(Whole, nullable=False)
    score_micro = Column(Whole, nullable=False)
    comment = Column(String, nullable=False)


USAGE_RATINGS: Final = Table("usage_ratings", LEDGER, _UsageRatings, sqlite_strict=True)
"""Ratings of requests: by which key, when in Unix microseconds, and the score in millionths."""


class _RatingsWaiting(TypedColumns):
    project_id = Column(String, primary_key=True)
    request_id = Column(String, primary_key=True)
    key_id = Column(String, nullable=False)
    rated_at = Column(Whole, nullable=False)
    score_micro = Column(Whole, nullable=False)
    comment = Column(String, nullable=False)
    since = Column(Whole, nullable=False)


RATINGS_WAITING: Final = Table(
    "usage_ratings_waiting", LEDGER, _RatingsWaiting, sqlite_strict=True, sqlite_with_rowid=False
)
"""Ratings of requests that are not found yet, of the project whose key has rated; `since` is Unix seconds."""
