"""The tables of the ledger: keys, usage, experiments."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Identity, Index, MetaData, Table, select
from sqlalchemy.schema import CreateView

from weebill.storage.tables.types import Binary, Flag, Fraction, String, Whole

LEDGER: Final = MetaData()

META: Final = Table(
    "meta",
    LEDGER,
    Column("name", String, primary_key=True),
    Column("value", Whole, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""Version numbers that every change of a table raises; whoever follows it compares them."""

INSTALLATION: Final = Table(
    "installation",
    LEDGER,
    Column("id", String, primary_key=True),
    Column("pepper", Binary),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""One row: a random name of the contents, another one after a backup is restored, and a hash of the pepper of keys."""

# `made_in` and `changed_in` are versions of the table (`weebill.storage.versions`).
API_KEYS: Final = Table(
    "api_keys",
    LEDGER,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("role", String, CheckConstraint("role IN ('user', 'admin')"), nullable=False),
    Column("hint", String, nullable=False),
    Column("digest", Binary, CheckConstraint("length(digest) = 32"), nullable=False, unique=True),
    Column("created_at", Whole, nullable=False),
    Column("revoked_at", Whole),
    Column("made_in", Whole, nullable=False),
    Column("changed_in", Whole, nullable=False),
    Index("api_keys_by_change", "changed_in"),
    sqlite_strict=True,
)

EXPERIMENTS: Final = Table(
    "experiments",
    LEDGER,
    Column("name", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("candidate", String, nullable=False),
    Column("share", Fraction, CheckConstraint("share > 0 AND share <= 1"), nullable=False),
    Column("shadow", Flag, nullable=False),
    Column("state", String, CheckConstraint("state IN ('running', 'promoted', 'rolled_back')"), nullable=False),
    Column("created_at", Whole, nullable=False),
    Column("changed_at", Whole, nullable=False),
    Column("made_in", Whole, nullable=False),
    sqlite_strict=True,
)

_RUNNING: Final = EXPERIMENTS.c.state == "running"
Index(
    "running_experiments", EXPERIMENTS.c.model, unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING
)

USAGE_KINDS: Final = Table(
    "usage_kinds",
    LEDGER,
    Column("id", Whole, Identity(), primary_key=True),
    Column("key_id", String, nullable=False),
    Column("endpoint", String, nullable=False),
    Column("model_asked", String, nullable=False),
    Column("model_served", String, nullable=False),
    Column("upstream", String, nullable=False),
    Column("stream", Flag, nullable=False),
    Column("measured", Flag, nullable=False),
    Column("status", Whole, nullable=False),
    Column("outcome", String, nullable=False),
    Column("checked", String, nullable=False),
    Column("dropped", String, nullable=False),
    Column("cost_reported", Flag, nullable=False),
    Column("flags", String, nullable=False),
    # Of all columns but the id: an index over them all would have longer rows than PostgreSQL takes.
    Column("fingerprint", Binary, nullable=False, unique=True),
    sqlite_strict=True,
)

USAGE_ENTRIES: Final = Table(
    "usage_entries",
    LEDGER,
    Column("id", Whole, Identity(), primary_key=True),
    Column("kind", Whole, ForeignKey("usage_kinds.id"), nullable=False),
    Column("request_id", String, nullable=False),
    Column("prompt_tokens", Whole, CheckConstraint("prompt_tokens >= 0"), nullable=False),
    Column("cached_tokens", Whole, CheckConstraint("cached_tokens >= 0"), nullable=False),
    Column("completion_tokens", Whole, CheckConstraint("completion_tokens >= 0"), nullable=False),
    Column("started_at", Whole, nullable=False),
    Column("first_byte_us", Whole, nullable=False),
    Column("total_us", Whole, nullable=False),
    Column("cache_write_tokens", Whole, CheckConstraint("cache_write_tokens >= 0"), nullable=False),
    Column("reasoning_tokens", Whole, CheckConstraint("reasoning_tokens >= 0"), nullable=False),
    Column("cost_nano", Whole, CheckConstraint("cost_nano >= 0")),
    Column("attempts", String, nullable=False),
    Column("arm", String, nullable=False),
    CheckConstraint(
        "cached_tokens + cache_write_tokens <= prompt_tokens AND reasoning_tokens <= completion_tokens",
        name="a part of its tokens is more than the whole",
    ),
    sqlite_strict=True,
    sqlite_autoincrement=True,  # or ids of deleted rows would be given again
)
_ARM: Final = USAGE_ENTRIES.c.arm != ""
Index("usage_entries_of_arm", USAGE_ENTRIES.c.arm, sqlite_where=_ARM, postgresql_where=_ARM)

_ENTRY: Final = [column for column in USAGE_ENTRIES.c if column.name != "kind"]
_KIND: Final = [column for column in USAGE_KINDS.c if column.name not in ("id", "fingerprint")]
USAGE: Final = CreateView(select(*_ENTRY, *_KIND).join_from(USAGE_ENTRIES, USAGE_KINDS), "usage", metadata=LEDGER).table
"""Whole records. In a file of an earlier release it has those that are kept as they were then, too."""

USAGE_DAILY: Final = Table(
    "usage_daily",
    LEDGER,
    Column("day", Whole, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("model", String, primary_key=True),
    *(
        Column(name, Whole, nullable=False)
        for name in ("requests", "failures", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_nano")
    ),
    Column("unpriced", Whole, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""Usage by day since 1970 (UTC), key and model."""

JOURNAL_MARKS: Final = Table(
    "journal_marks",
    LEDGER,
    Column("segment", String, primary_key=True),
    Column("offset", Whole, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
"""How many bytes of each journal segment are in the ledger."""

QUARANTINE: Final = Table(
    "quarantine",
    LEDGER,
    Column("id", Whole, Identity(), primary_key=True),
    Column("segment", String, nullable=False),
    Column("offset", Whole, nullable=False),
    Column("line", Binary, nullable=False),
    Column("error", String, nullable=False),
    Column("quarantined_at", Whole, nullable=False),
    sqlite_strict=True,
)
"""Lines of journals that are no usage records."""
