"""Usage records as kinds and entries. Schema 6, 2026-11-25."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    # What thousands of records have in common is kept once (`weebill.storage.usage_entries`). Those that are there
    # already stay as they are, since copying them all could take minutes.
    "ALTER TABLE usage RENAME TO usage_before_kinds",
    """CREATE TABLE usage_kinds (
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
        UNIQUE (
            key_id, model_asked, model_served, upstream, endpoint, stream, measured, status, outcome, checked
        )
    ) STRICT""",
    # Without AUTOINCREMENT the ids would begin anew.
    """CREATE TABLE usage_entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind INTEGER NOT NULL REFERENCES usage_kinds,
        request_id TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL CHECK (prompt_tokens BETWEEN 0 AND 4294967295),
        cached_tokens INTEGER NOT NULL CHECK (cached_tokens >= 0),
        completion_tokens INTEGER NOT NULL CHECK (completion_tokens BETWEEN 0 AND 4294967295),
        started_at INTEGER NOT NULL CHECK (started_at >= 0),
        first_byte_us INTEGER NOT NULL,
        total_us INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL CHECK (cache_write_tokens >= 0),
        reasoning_tokens INTEGER NOT NULL CHECK (reasoning_tokens >= 0),
        cost_nano INTEGER NOT NULL CHECK (cost_nano >= 0),
        attempts TEXT NOT NULL,
        arm TEXT NOT NULL,
        CONSTRAINT "a part of its tokens is more than the whole" CHECK (
            cached_tokens + cache_write_tokens <= prompt_tokens AND reasoning_tokens <= completion_tokens
        )
    ) STRICT""",
    "INSERT INTO sqlite_sequence (name, seq) SELECT 'usage_entries', ifnull(max(id), 0) FROM usage_before_kinds",
    "CREATE INDEX usage_entries_by_arm ON usage_entries (arm) WHERE arm <> ''",
    """CREATE VIEW usage AS
        SELECT id, request_id, key_id, endpoint, model_asked, model_served, upstream, stream, prompt_tokens,
            cached_tokens, completion_tokens, measured, status, outcome, started_at, first_byte_us, total_us,
            cache_write_tokens, reasoning_tokens, cost_nano, attempts, checked, arm
        FROM usage_before_kinds
        UNION ALL
        SELECT entry.id, request_id, key_id, endpoint, model_asked, model_served, upstream, stream, prompt_tokens,
            cached_tokens, completion_tokens, measured, status, outcome, started_at, first_byte_us, total_us,
            cache_write_tokens, reasoning_tokens, cost_nano, attempts, checked, arm
        FROM usage_entries AS entry JOIN usage_kinds AS kind ON kind.id = entry.kind""",
)
