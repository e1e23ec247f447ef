"""The tables of stored responses."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Identity, Index, MetaData, Table, UniqueConstraint

from weebill.storage.tables.types import Binary, String, Whole

RESPONSES_TABLES: Final = MetaData()

RESPONSES: Final = Table(
    "responses",
    RESPONSES_TABLES,
    Column("number", Whole, Identity(), primary_key=True),
    Column("tenant", String, nullable=False),
    Column("id", String, nullable=False),
    Column("previous_id", String),
    Column("created_at", Whole, nullable=False),
    Column("expires_at", Whole, nullable=False),
    Column("bytes", Whole, nullable=False),
    Column("input", Binary, nullable=False),
    Column("body", Binary, nullable=False),
    UniqueConstraint("tenant", "id"),
    Index("responses_by_expiry", "expires_at", "number"),
    sqlite_strict=True,
)

ITEMS: Final = Table(
    "response_items",
    RESPONSES_TABLES,
    Column("tenant", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("response", Whole, ForeignKey(RESPONSES.c.number, ondelete="CASCADE"), nullable=False),
    Index("response_items_by_response", "response"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""The newest response that has an item."""

SIZE: Final = Table(
    "responses_size",
    RESPONSES_TABLES,
    Column("bytes", Whole, nullable=False),
    sqlite_strict=True,
)
"""One row: the bytes of all responses. Whoever adds or removes any locks it first, so such changes come one by one."""
