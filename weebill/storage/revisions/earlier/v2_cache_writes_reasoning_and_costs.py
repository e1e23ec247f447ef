"""Cache writes, reasoning tokens and the cost of a request. Schema 2, 2026-11-24."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    """ALTER TABLE usage ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0
        CHECK (cache_write_tokens BETWEEN 0 AND 4294967295)""",
    """ALTER TABLE usage ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0
        CHECK (reasoning_tokens BETWEEN 0 AND 4294967295)""",
    "ALTER TABLE usage ADD COLUMN cost_nano INTEGER NOT NULL DEFAULT 0 CHECK (cost_nano >= 0)",
    "ALTER TABLE usage_daily ADD COLUMN cost_nano INTEGER NOT NULL DEFAULT 0",
)
