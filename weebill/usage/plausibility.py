"""What of a usage record cannot be so, and how it is kept all the same: within what a ledger can add up, and flagged.

An upstream may report any number of tokens, and a machine's clock may have been wrong. The record is of a request that
was made, and so is kept.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from weebill.usage.records import UsageRecord

BELIEVABLE: Final = 2**32 - 1
"""More tokens than that, no context has."""
MOST: Final = 2**53 - 1
"""The largest number that is kept; readers of JSON have it exactly."""
_EARLIEST_US: Final = -62_135_596_800_000_000
LATEST_US: Final = 253_402_300_799_000_000
"""The end of the year 9999, as the other is the beginning of the year 1: what is a date."""


def is_doubtful(record: UsageRecord) -> bool:
    """Tells whether anything of it cannot be so."""
    cost = record.cost_nano
    return (
        record.prompt_tokens > BELIEVABLE
        or record.completion_tokens > BELIEVABLE
        or record.started_at < 0
        or record.started_at > LATEST_US
        or (cost is not None and cost > MOST)
    )


def flagged(record: UsageRecord) -> UsageRecord:
    """The record with its `flags`, and within bounds; one that breaks an invariant goes on breaking it."""
    flags = []
    changes: dict[str, int | str] = {}
    if record.prompt_tokens > BELIEVABLE or record.completion_tokens > BELIEVABLE:
        flags.append("tokens")
        if record.cached_tokens + record.cache_write_tokens <= record.prompt_tokens:
            changes["prompt_tokens"] = prompt = min(record.prompt_tokens, MOST)
            changes["cached_tokens"] = cached = min(record.cached_tokens, prompt)
            changes["cache_write_tokens"] = min(record.cache_write_tokens, prompt - cached)
        if record.reasoning_tokens <= record.completion_tokens:
            changes["completion_tokens"] = completion = min(record.completion_tokens, MOST)
            changes["reasoning_tokens"] = min(record.reasoning_tokens, completion)
    if not 0 <= record.started_at <= LATEST_US:
        flags.append("time")
        changes["started_at"] = max(_EARLIEST_US, min(record.started_at, LATEST_US))
    if record.cost_nano is not None and record.cost_nano > MOST:
        flags.append("cost")
        changes["cost_nano"] = MOST
    return structs.replace(record, flags=",".join(flags), **changes)
