"""Costs that are not known, costs that upstreams report, and records that cannot be so. Schema 8, 2026-11-29."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    # Costs that are not known, and records that cannot be so and are kept (`weebill.usage.plausibility`). SQLite cannot
    # change a constraint: entries that are there already stay where they are.
    "DROP VIEW usage",
    "ALTER TABLE usage_before_kinds ADD COLUMN cost_reported INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE usage_before_kinds ADD COLUMN flags TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE usage_kinds_with_flags (
        id INTEGER PRIMARY KEY,
        key_id TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        model_asked TEXT NOT NULL,
        model_served TEXT NOT NULL,
        upstream TEXT NOT NULL,
        stream INTEGER NOT NULL,
        measured INTEGER NOT NULL,
        status INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        checked TEXT NOT NULL,
        dropped TEXT NOT NULL,
        cost_reported INTEGER NOT NULL DEFAULT 0,
        flags TEXT NOT NULL DEFAULT '',
        UNIQUE (
            key_id, model_asked, model_served, upstream, endpoint, stream, measured, status, outcome, checked,
            dropped, cost_reported, flags
        )
    ) STRICT""",
    """INSERT INTO usage_kinds_with_flags
        (id, key_id, endpoint, model_asked, model_served, upstream, stream, measured, status, outcome, checked,
            dropped)
        SELECT id, key_id, endpoint, model_asked, model_served, upstream, stream, measured, status, outcome,
            checked, dropped
        FROM usage_kinds""",
    "ALTER TABLE usage_entries RENAME TO usage_entries_before_flags",
    "DROP TABLE usage_kinds",
    "ALTER TABLE usage_kinds_with_flags RENAME TO usage_kinds",
    """CREATE TABLE usage_entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind INTEGER NOT NULL REFERENCES usage_kinds,
        request_id TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL CHECK (prompt_tokens >= 0),
        cached_tokens INTEGER NOT NULL CHECK (cached_tokens >= 0),
        completion_tokens INTEGER NOT NULL CHECK (completion_tokens >= 0),
        started_at INTEGER NOT NULL,
        first_byte_us INTEGER NOT NULL,
        total_us INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL CHECK (cache_write_tokens >= 0),
        reasoning_tokens INTEGER NOT NULL CHECK (reasoning_tokens >= 0),
        cost_nano INTEGER CHECK (cost_nano >= 0),
        attempts TEXT NOT NULL,
        arm TEXT NOT NULL,
        CONSTRAINT "a part of its tokens is more than the whole" CHECK (
            cached_tokens + cache_write_tokens <= prompt_tokens AND reasoning_tokens <= completion_tokens
        )
    ) STRICT""",
    """INSERT INTO sqlite_sequence (name, seq) SELECT 'usage_entries', ifnull(max(seq), 0) FROM sqlite_sequence
        WHERE name = 'usage_entries_before_flags'""",
    "CREATE INDEX usage_entries_of_arm ON usage_entries (arm) WHERE arm <> ''",
    """CREATE VIEW usage AS
        SELECT id, request_id, key_id, endpoint, model_asked, model_served, upstream, stream, prompt_tokens,
            cached_tokens, completion_tokens, measured, status, outcome, started_at, first_byte_us, total_us,
            cache_write_tokens, reasoning_tokens, cost_nano, attempts, checked, arm, dropped, cost_reported, flags
        FROM usage_before_kinds
        UNION ALL
        SELECT entry.id, request_id, key_id, endpoint, model_asked, model_served, upstream, stream, prompt_tokens,
            cached_tokens, completion_tokens, measured, status, outcome, started_at, first_byte_us, total_us,
            cache_write_tokens, reasoning_tokens, cost_nano, attempts, checked, arm, dropped, cost_reported, flags
        FROM usage_entries_before_flags AS entry JOIN usage_kinds AS kind ON kind.id = entry.kind
        UNION ALL
        SELECT entry.id, request_id, key_id, endpoint, model_asked, model_served, upstream, stream, prompt_tokens,
            cached_tokens, completion_tokens, measured, status, outcome, started_at, first_byte_us, total_us,
            cache_write_tokens, reasoning_tokens, cost_nano, attempts, checked, arm, dropped, cost_reported, flags
        FROM usage_entries AS entry JOIN usage_kinds AS kind ON kind.id = entry.kind""",
    "ALTER TABLE usage_daily ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0",
)
