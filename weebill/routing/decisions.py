"""The table of what follows each kind of failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from weebill.wire.failure import FailureKind

Cooling = Literal["", "asked", "always", "until_mended"]


class Decision(NamedTuple):
    """The consequences of a failure.

    `again` is the number of retries of the same deployment, each after a pause; with `others_first`, only if no other
    is healthy. With `other_key`, another of its credentials is tried first. Without `go_on`, the client gets the error
    at once; else the next deployment is tried. `cool` leaves the faulty deployment or credential alone: for as long as
    it "asked", or "always" for a while, or "until_mended", with a trial now and then, after growing pauses. A failure
    that concerns only the request cools nothing, whatever its kind.
    """

    go_on: bool
    again: int = 0
    others_first: bool = False
    other_key: bool = False
    cool: Cooling = ""


DECISIONS: Final[Mapping[FailureKind, Decision]] = {
    "network": Decision(True, again=1),
    "server": Decision(True, again=1),
    # An overloaded deployment is not asked twice while others are well.
    "overloaded": Decision(True, again=1, others_first=True, cool="asked"),
    # It has used up its time, and the work was paid for.
    "timeout": Decision(True),
    "invalid_answer": Decision(True),
    "rate_limited": Decision(True, other_key=True, cool="always"),
    "quota": Decision(True, other_key=True, cool="until_mended"),
    "credential": Decision(True, other_key=True, cool="until_mended"),
    # These concern the deployment, not the request: another may serve it.
    "forbidden": Decision(True, cool="always"),
    "not_found": Decision(True, cool="always"),
    "unsupported": Decision(True),
    "context_length": Decision(True),
    # These concern the request: every deployment would refuse it.
    "content_filter": Decision(False),
    "invalid_request": Decision(False),
}

# Kinds of failure that may go away by themselves; the client is told of these first.
TRANSIENT: Final[frozenset[FailureKind]] = frozenset(
    {"network", "server", "overloaded", "timeout", "invalid_answer", "rate_limited"}
)
