"""What is done about each kind of failure: a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from weebill.wire.failure import FailureKind

Cooling = Literal["", "asked", "always", "until_mended"]


class Decision(NamedTuple):
    """What follows a failure.

    `again`: how often the same deployment is asked once more, after a pause; with `others_first`, only where no other
    is well. `other_key`: whether another of its credentials is asked first. `go_on`: whether the next deployment is
    asked; if not, the client is told at once. `cool`: whether what is at fault is left alone for as long as it "asked",
    "always" for a while, or "until_mended": one request tries now and then, after pauses that grow. What is of the
    request alone leaves nobody alone, whatever its kind.
    """

    go_on: bool
    again: int = 0
    others_first: bool = False
    other_key: bool = False
    cool: Cooling = ""


DECISIONS: Final[Mapping[FailureKind, Decision]] = {
    "network": Decision(True, again=1),
    "server": Decision(True, again=1),
    # What it has too much of, it is not given twice.
    "overloaded": Decision(True, again=1, others_first=True, cool="asked"),
    # It has taken its time already, and whatever it was asked was paid for.
    "timeout": Decision(True),
    "invalid_answer": Decision(True),
    "rate_limited": Decision(True, other_key=True, cool="always"),
    "quota": Decision(True, other_key=True, cool="until_mended"),
    "credential": Decision(True, other_key=True, cool="until_mended"),
    # Of this deployment, not of the request: another may well do it.
    "forbidden": Decision(True, cool="always"),
    "not_found": Decision(True, cool="always"),
    "unsupported": Decision(True),
    "context_length": Decision(True),
    # Of the request: it would be wrong for all.
    "content_filter": Decision(False),
    "invalid_request": Decision(False),
}

# What may well come to something when it is asked again, and is told before what would not.
TRANSIENT: Final[frozenset[FailureKind]] = frozenset(
    {"network", "server", "overloaded", "timeout", "invalid_answer", "rate_limited"}
)
