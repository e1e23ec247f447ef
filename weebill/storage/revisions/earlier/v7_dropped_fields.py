"""The fields of a request that its target has no counterpart for. Schema 7, 2026-11-28."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    # SQLite cannot widen a UNIQUE constraint: kinds are few, so they are copied.
    "DROP VIEW usage",
    "ALTER TABLE usage_before_kinds ADD COLUMN dropped TEXT NOT NULL DEFAULT ''",
    """CREATE TABLE usage_kinds_with_dropped (
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
        dropped TEXT NOT NULL DEFAULT '',
        UNIQUE (
            key_id, model_asked, model_served, upstream, endpoint, stream, measured, status, outcome, checked,
            dropped
        )
    ) STRICT""",
    """INSERT INTO usage_kinds_with_dropped
        (id, key_id, endpoint, model_asked, model_served, upstream, stream, measured, status, outcome, checked)
        SELECT id, key_id, endpoint, model_asked, model_served, upstream, stream, measured, status, outcome, checked
        FROM usage_kinds""",
    "DROP TABLE usage_kinds",
    "ALTER TABLE usage_kinds_with_dropped RENAME TO usage_kinds",
    """CREATE VIEW usage AS
        SELECT id, request_id, key_id, endpoint, model_asked, model_served, upstream, stream, prompt_tokens,
            cached_tokens, completion_tokens, measured, status, outcome, started_at, first_byte_us, total_us,
            cache_write_tokens, reasoning_tokens, cost_nano, attempts, checked, arm, dropped
        FROM usage_before_kinds
        UNION ALL
        SELECT entry.id, request_id, key_id, endpoint, model_asked, model_served, upstream, stream, prompt_tokens,
            cached_tokens, completion_tokens, measured, status, outcome, started_at, first_byte_us, total_us,
            cache_write_tokens, reasoning_tokens, cost_nano, attempts, checked, arm, dropped
        FROM usage_entries AS entry JOIN usage_kinds AS kind ON kind.id = entry.kind""",
)
