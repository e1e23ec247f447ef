"""Totals of usage, and single requests, as values."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from weebill.usage.records import Outcome, UsageRecord

Grouping = Literal["model", "key", "day"]


class UsageTotal(msgspec.Struct, frozen=True, kw_only=True):
    """The sum over one model, key id or UTC day (`name`, a day as YYYY-MM-DD).

    `failures` counts the requests with another outcome than `ok` and `client_cancelled`; `cached_tokens` is a subset of
    `prompt_tokens`; `cost_nano` is in nano-dollars, without the `unpriced` requests, whose price is not known.
    """

    name: str
    requests: int
    failures: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost_nano: int
    unpriced: int


APART: Final = ("labels", "held")
"""The last fields of a record, which are no columns: labels are rows of their own, limits of use to ingestion alone."""


class UsageShown(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the management API and exports show it; the fields are those of a usage record.

    Times are microseconds, `started_at` is Unix time; `cost_nano` is in nano-dollars, None if a price is not known.
    """

    id: int
    request_id: str
    key_id: str
    endpoint: str
    model_asked: str
    model_served: str
    upstream: str
    stream: bool
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    measured: bool
    status: int
    outcome: Outcome
    started_at: int
    first_byte_us: int
    total_us: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_nano: int | None
    attempts: str
    checked: str
    arm: str
    dropped: str
    cost_reported: bool
    flags: str
    end_user: str
    tags: dict[str, str]


class UsageEntry(msgspec.Struct, frozen=True):
    """A record and its id in the ledger; ids only grow."""

    id: int
    record: UsageRecord

    def shown(self) -> UsageShown:
        """Returns the form of an entry in the management API and in exports."""
        labels = self.record.labels
        fields = {name: value for name, value in msgspec.structs.asdict(self.record).items() if name not in APART}
        named = {} if labels is None else dict(labels.tags)
        return UsageShown(id=self.id, **fields, end_user="" if labels is None else labels.user, tags=named)
