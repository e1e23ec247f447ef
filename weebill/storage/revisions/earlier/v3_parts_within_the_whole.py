"""No part of a record's tokens is more than the whole. Schema 3, 2026-11-25."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = (
    # The invariant of every record (`weebill.usage.records`); a column added later cannot be in a CHECK.
    """CREATE TRIGGER usage_invariant BEFORE INSERT ON usage
        WHEN NEW.cached_tokens + NEW.cache_write_tokens > NEW.prompt_tokens
            OR NEW.reasoning_tokens > NEW.completion_tokens
        BEGIN SELECT RAISE(ABORT, 'a part of its tokens is more than the whole'); END""",
)
