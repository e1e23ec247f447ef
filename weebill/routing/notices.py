"""The notices by which workers share the health of deployments and credentials."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from weebill.wire.failure import FailureKind


class HealthNotice(Struct, frozen=True, array_like=True):
    """A notice of one worker to the others. `remaining_s` counts from its sending; 0 for an open breaker allows a
    trial.

    `subject` is a deployment's key, or "" for every deployment that uses the credential.
    """

    what: Literal["open", "limited", "dead"]
    subject: str
    kind: FailureKind
    credential: str = ""
    remaining_s: float = 0.0
