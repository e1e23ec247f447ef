"""What went wrong at an upstream: one value, from whoever reads its answer to who decides what is tried next."""

from __future__ import annotations

from typing import Literal, NamedTuple

FailureKind = Literal[
    "network",  # no connection, or one that broke off
    "timeout",  # too slow
    "overloaded",  # has too much to do, or is being restarted
    "server",  # failed by itself
    "invalid_answer",  # answered, but with nothing that is an answer
    "rate_limited",  # waiting helps
    "quota",  # out of credit, or of what there is for the day
    "credential",  # Weebill's key is refused
    "forbidden",  # refused for where it comes from, what it names, or by who knows whom; another may take it
    "not_found",  # has no such model, or nothing at this address
    "unsupported",  # cannot do what is asked; another may
    "context_length",  # the prompt is longer than the window; a larger one may do
    "content_filter",  # refused for what it says
    "invalid_request",  # the client's fault: wrong for every upstream
]

Scope = Literal[
    "request",  # this one: nobody is to blame, and the next may do well
    "model",  # this model at this provider, with this key
    "key",  # all that this key is used for
    "provider",  # all that this provider is used for
]


class Failure(NamedTuple):
    """`scope` is what is at fault; `status` is the upstream's, 0 without an answer, 200 for an error inside of one.

    `retry_after` is in seconds, None where the upstream does not say.
    """

    kind: FailureKind
    scope: Scope
    status: int = 0
    retry_after: float | None = None
