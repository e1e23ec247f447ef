"""Flags implausible usage records, and limits their values to those that a ledger can add up.

An upstream may report any number of tokens, and a machine's clock may have been wrong. The request was made all the
same, so its record is kept.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from weebill.usage.records import UsageRecord

BELIEVABLE: Final = 2**32 - 1
"""The largest plausible number of tokens; no context has as many."""
MOST: Final = 2**53 - 1
"""The largest number that is stored; every JSON reader represents it exactly."""
_EARLIEST_US: Final = -62_135_596_800_000_000
LATEST_US: Final = 253_402_300_799_000_000
"""The end of the year 9999; `_EARLIEST_US` is the beginning of the year 1: the range of `datetime`."""


def is_doubtful(record: UsageRecord) -> bool:
    """True if any value is implausible."""
    cost = record.cost_nano
    return (
        record.prompt_tokens > BELIEVABLE
        or record.completion_tokens > BELIEVABLE
        or record.started_at < 0
        or record.started_at > LATEST_US
        or (cost is not None and cost > MOST)
    )


def flagged(record: UsageRecord) -> UsageRecord:
    """Returns the record with its `flags`, and within bounds; a broken invariant stays broken."""
    flags = [record.flags] if record.flags else []
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
