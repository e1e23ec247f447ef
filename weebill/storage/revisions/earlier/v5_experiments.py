"""Experiments, the arm of a request, and what its checks said. Schema 5, 2026-11-25."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
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
