"""The usage record of a request, and its precursor, as values."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Outcome = Literal[
    "ok",  # a complete answer was sent
    "rejected",  # refused by the gateway before any upstream was called
    "client_cancelled",  # the client disconnected first
    "upstream_error",  # the upstream failed, or cut its answer
    "timeout",  # the upstream took longer than allowed
    "gateway_error",  # a fault of ours
    "worker_died",  # the process that served it died, or could not write its record; usage is estimated
]

OWN_KEY: Final = "own_key"
"""A flag of records."""
OVER_BOUND: Final = "over_bound"
"""Another one."""


class Labels(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The end user that a request is made for and tags, which its client says for its own accounts.

    Tags are names and values, in the order of the names; no name is there twice. `labels_of` keeps them within bounds.
    """

    user: str = ""
    tags: tuple[tuple[str, str], ...] = ()


class UsageRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request to a metered endpoint; exactly one is kept for each.

    A JSON array in the journal, so new fields are appended, with a default.
    Tokens: `cached_tokens` and `cache_write_tokens` are disjoint subsets of `prompt_tokens`, `reasoning_tokens` is one
    of `completion_tokens`. `cost_nano` is in nano-dollars, None if a price is not known; `cost_reported` is True if the
    upstream reported it. Times are microseconds; `started_at` is Unix time.
    `measured` is False if any token count was estimated rather than reported by the upstream.
    `attempts` are those of a request that took several, as `acme/big:500:12ms,zeta/big:200:340ms`; the cost of the
    earlier ones is part of `cost_nano`.
    `checked` is "passed" if a smaller model's answer passed its checks, else the check that it failed; "not_known:" and
    the undecided checks if none failed; "unavailable" if there was no answer to check.
    `arm` is the request's arm of an experiment, as `faster/candidate`.
    `dropped` are the fields of the request that its target does not support, as `top_k,metadata`.
    `flags` name the implausible values, as `tokens,time` (`weebill.usage.plausibility`), and `own_key` if its project's
    own key was used for the answer, which costs nothing here; and `over_bound` if the request has used more than was
    reserved of its limits, so that they may be overdrawn.
    `labels` is None if the client said nothing of the kind, as most do.
    `held` are the ids of the limits that the request was held to, as `3,17` (`weebill.limits.counting`).
    `first_byte_us` is the time from the request's head to the first body byte from the upstream, 0 if none came.
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
    labels: Labels | None = None
    held: str = ""


MICRO: Final = 1_000_000
"""The parts of a score, which is from 0 to 1, that are kept."""
MOST_ID_CHARACTERS: Final = 200
MOST_COMMENT_CHARACTERS: Final = 10_000


class Rating(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A client's rating of a request, of which it knows the id; the newest one of a request counts.

    A JSON object in the journal, unlike records. `key_id` is the key that rates, `at` is Unix time in microseconds, and
    `score_micro` the score in millionths.
    """

    request_id: Annotated[str, Meta(min_length=1, max_length=MOST_ID_CHARACTERS)]
    key_id: str
    at: Annotated[int, Meta(ge=0, lt=2**62)]
    score_micro: Annotated[int, Meta(ge=0, le=MICRO)]
    comment: Annotated[str, Meta(max_length=MOST_COMMENT_CHARACTERS)] = ""


class Intent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request when its upstream is called; it becomes a usage record if the worker dies.

    `prompt_bytes` counts the bytes that become tokens, `own_key` tells if a project's own key is used; the other fields
    are as in `UsageRecord`.
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
    held: str = ""
    own_key: bool = False
