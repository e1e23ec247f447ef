"""The ledger's migrations, by what each of them brought. Once released, one is never edited."""

from __future__ import annotations

from typing import Final

KEYS_AND_USAGE: Final = (
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

CACHE_WRITES_REASONING_AND_COSTS: Final = (
    """ALTER TABLE usage ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0
        CHECK (cache_write_tokens BETWEEN 0 AND 4294967295)""",
    """ALTER TABLE usage ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0
        CHECK (reasoning_tokens BETWEEN 0 AND 4294967295)""",
    "ALTER TABLE usage ADD COLUMN cost_nano INTEGER NOT NULL DEFAULT 0 CHECK (cost_nano >= 0)",
    "ALTER TABLE usage_daily ADD COLUMN cost_nano INTEGER NOT NULL DEFAULT 0",
)

PARTS_WITHIN_THE_WHOLE: Final = (
    # The invariant of every record (`weebill.usage.records`); a column added later cannot be in a CHECK.
    """CREATE TRIGGER usage_invariant BEFORE INSERT ON usage
        WHEN NEW.cached_tokens + NEW.cache_write_tokens > NEW.prompt_tokens
            OR NEW.reasoning_tokens > NEW.completion_tokens
        BEGIN SELECT RAISE(ABORT, 'a part of its tokens is more than the whole'); END""",
)

ATTEMPTS: Final = ("ALTER TABLE usage ADD COLUMN attempts TEXT NOT NULL DEFAULT ''",)

EXPERIMENTS: Final = (
    "INSERT INTO meta (name, value) VALUES ('experiments_version', 0)",
    """CREATE TABLE experiments (
        name TEXT PRIMARY KEY,
        model TEXT NOT NULL,
        candidate TEXT NOT NULL,
        share REAL NOT NULL CHECK (share > 0 AND share <= 1),
        shadow INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('running', 'promoted', 'rolled_back')),
        created_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL
    ) STRICT""",
    "CREATE UNIQUE INDEX running_experiments ON experiments (model) WHERE state = 'running'",
    "ALTER TABLE usage ADD COLUMN checked TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE usage ADD COLUMN arm TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX usage_by_arm ON usage (arm) WHERE arm <> ''",
)

KINDS: Final = (
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

DROPPED_FIELDS: Final = (
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

UNKNOWN_COSTS_AND_FLAGS: Final = (
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

# Migration N brings a database from `user_version` N to N + 1.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    KEYS_AND_USAGE,
    CACHE_WRITES_REASONING_AND_COSTS,
    PARTS_WITHIN_THE_WHOLE,
    ATTEMPTS,
    EXPERIMENTS,
    KINDS,
    DROPPED_FIELDS,
    UNKNOWN_COSTS_AND_FLAGS,
)
