"""The tables of what `auto` has learnt: its newest decisions, and the scores of answers."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Identity, Index, MetaData, Table, UniqueConstraint

from weebill.storage.tables.types import Binary, Flag, Fraction, String, Whole

OUTCOMES_TABLES: Final = MetaData()

PAIRS: Final = Table(
    "pairs",
    OUTCOMES_TABLES,
    Column("id", Whole, Identity(), primary_key=True),
    Column("small", String, nullable=False),
    Column("large", String, nullable=False),
    Column("features", String, nullable=False),
    UniqueConstraint("small", "large", "features"),
    sqlite_strict=True,
)

AUTOS: Final = Table(
    "autos",
    OUTCOMES_TABLES,
    Column("pair", Whole, ForeignKey(PAIRS.c.id), primary_key=True),
    Column("auto", String, primary_key=True),
    Column("decisions", Whole, nullable=False),
    sqlite_strict=True,
)
"""The number of decisions that each virtual model ever made for a pair."""

DECISIONS: Final = Table(
    "decisions",
    OUTCOMES_TABLES,
    Column("number", Whole, Identity(), primary_key=True),
    Column("pair", Whole, ForeignKey(PAIRS.c.id), nullable=False),
    Column("request_id", String, nullable=False, unique=True),
    Column("key_id", String, nullable=False),
    Column("at", Whole, nullable=False),
    Column("tier", String, nullable=False),
    Column("features", Binary, nullable=False),
    Column("escalated", Flag, nullable=False),
    Column("probability", Fraction, nullable=False),
    Column("audited", Flag, nullable=False),
    Column("spent_nano", Whole),
    Column("large_nano", Whole),
    Column("signs", Binary, nullable=False),
    Column("auto", String, nullable=False),
    Index("decisions_of_auto", "auto", "number"),
    sqlite_strict=True,
)

OUTCOMES: Final = Table(
    "outcomes",
    OUTCOMES_TABLES,
    Column("number", Whole, Identity(), primary_key=True),
    Column("pair", Whole, ForeignKey(PAIRS.c.id), nullable=False),
    Column("request_id", String, nullable=False),
    Column("source", String, nullable=False),
    Column("at", Whole, nullable=False),
    Column("tier", String, nullable=False),
    Column("features", Binary, nullable=False),
    Column("probability", Fraction),
    Column("small", Fraction),
    Column("large", Fraction),
    Column("judged_by", String, nullable=False),
    Column("spent_nano", Whole),
    Column("signs", Binary, nullable=False),
    Column("mid", Fraction),
    Column("auto", String, nullable=False),
    UniqueConstraint("request_id", "source"),
    Index("outcomes_of_auto", "auto", "number"),
    sqlite_strict=True,
)
"""Scores: `small`, `mid` and `large`; an audit without them could not be judged."""

CONTENTS: Final = Table(
    "contents",
    OUTCOMES_TABLES,
    Column("outcome", Whole, ForeignKey(OUTCOMES.c.number, ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("question", String, nullable=False),
    Column("small", String, nullable=False),
    Column("large", String, nullable=False),
    Column("comment", String, nullable=False),
    sqlite_strict=True,
)
"""The texts of audits and ratings, where they are kept."""
