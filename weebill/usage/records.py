"""What is recorded of a request, as values."""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal[
    "ok",  # a complete answer was sent
    "rejected",  # refused by the gateway before any upstream was called
    "client_cancelled",  # the client went away first
    "upstream_error",  # the upstream failed, or cut its answer
    "timeout",  # the upstream took longer than allowed
    "gateway_error",  # a fault of ours
    "worker_died",  # the process that served it died, or could not write its record; what was used is estimated
]


class UsageRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request to a metered endpoint; exactly one is kept for each.

    A JSON array in the journal, so fields are only ever appended, with a default.
    Tokens: `cached_tokens` and `cache_write_tokens` are disjoint subsets of `prompt_tokens`, `reasoning_tokens` is one
    of `completion_tokens`. `cost_nano` is in nano-dollars, None where a price is not known; `cost_reported` is
    whether it is what the upstream said itself. Times are microseconds; `started_at` is Unix time.
    `measured` is False where any token count was estimated rather than reported by the upstream.
    `attempts` are those of a request that took several, as `acme/big:500:12ms,zeta/big:200:340ms`; what the earlier
    ones cost is part of `cost_nano`.
    `checked` is "passed" where a smaller model's answer was checked and will do, else the check that it failed,
    "not_known:" and the checks that could not tell where none failed, or "unavailable" where there was none to check.
    `arm` is that of the experiment which the request was part of, as `faster/candidate`.
    `dropped` are the fields of the request that its target has no counterpart for, as `top_k,metadata`.
    `flags` name what of it cannot be so, though it was recorded: as `tokens,time` (`weebill.usage.plausibility`).
    `first_byte_us` runs from the request's head to the first body byte from the upstream, 0 if none came.
    """

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
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int | None = 0
    attempts: str = ""
    checked: str = ""
    arm: str = ""
    dropped: str = ""
    cost_reported: bool = False
    flags: str = ""


class Intent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of a request when its upstream is called, for a record if there will be no other.

    `prompt_bytes` are those that become tokens; the rest is as in `UsageRecord`.
    """

    request_id: str
    key_id: str
    endpoint: str
    model_asked: str
    model_served: str
    upstream: str
    stream: bool
    started_at: int
    prompt_bytes: int
