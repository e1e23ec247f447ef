"""API keys, usage records and their totals by day, and how far journals are ingested. Schema 1, 2026-11-23."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """CREATE TABLE meta (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "INSERT INTO meta (name, value) VALUES ('keys_version', 0)",
    """CREATE TABLE api_keys (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('user', 'admin')),
        hint TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
        created_at INTEGER NOT NULL,
        revoked_at INTEGER,
        changed_in INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX api_keys_by_change ON api_keys (changed_in)",
    """CREATE TABLE usage (
        id INTEGER PRIMARY KEY,
        request_id TEXT NOT NULL,
        key_id TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        model_asked TEXT NOT NULL,
        model_served TEXT NOT NULL,
        upstream TEXT NOT NULL,
        stream INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL CHECK (prompt_tokens BETWEEN 0 AND 4294967295),
        cached_tokens INTEGER NOT NULL CHECK (cached_tokens BETWEEN 0 AND 4294967295),
        completion_tokens INTEGER NOT NULL CHECK (completion_tokens BETWEEN 0 AND 4294967295),
        measured INTEGER NOT NULL,
        status INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        started_at INTEGER NOT NULL CHECK (started_at >= 0),
        first_byte_us INTEGER NOT NULL,
        total_us INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE usage_daily (
        day INTEGER NOT NULL,
        key_id TEXT NOT NULL,
        model TEXT NOT NULL,
        requests INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL,
        PRIMARY KEY (day, key_id, model)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE journal_marks (
        segment TEXT PRIMARY KEY,
        offset INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE quarantine (
        id INTEGER PRIMARY KEY,
        segment TEXT NOT NULL,
        offset INTEGER NOT NULL,
        line BLOB NOT NULL,
        error TEXT NOT NULL,
        quarantined_at INTEGER NOT NULL
    ) STRICT""",
)
