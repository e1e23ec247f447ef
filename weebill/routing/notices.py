"""What workers tell each other of deployments and credentials."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from weebill.wire.failure import FailureKind


class HealthNotice(Struct, frozen=True, array_like=True):
    """What one worker tells the others. `remaining_s` is from when it is told; 0 of an open breaker: it may be tried.

    `subject` is a deployment's key, or "" for all that a credential is used for.
    """

    what: Literal["open", "limited", "dead"]
    subject: str
    kind: FailureKind
    credential: str = ""
    remaining_s: float = 0.0
