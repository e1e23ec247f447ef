"""The ledger's migrations, a file each: how it came to be, in order. Once released, none is ever edited.

The file `vN_...` brings a database from `user_version` N - 1 to N.
"""

from __future__ import annotations

from typing import Final

from weebill.storage.revisions.earlier import (
    v1_keys_and_usage,
    v2_cache_writes_reasoning_and_costs,
    v3_parts_within_the_whole,
    v4_attempts,
    v5_experiments,
    v6_kinds,
    v7_dropped_fields,
    v8_unknown_costs_and_flags,
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    v1_keys_and_usage.STATEMENTS,
    v2_cache_writes_reasoning_and_costs.STATEMENTS,
    v3_parts_within_the_whole.STATEMENTS,
    v4_attempts.STATEMENTS,
    v5_experiments.STATEMENTS,
    v6_kinds.STATEMENTS,
    v7_dropped_fields.STATEMENTS,
    v8_unknown_costs_and_flags.STATEMENTS,
)
