"""What a request does next, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from weebill.routing.credentials import Credential
from weebill.routing.deployments import Deployment

_FOR_OTHERS_S: Final = 120.0  # in which most answers are there


def patience(left_s: float, others: bool) -> float:
    """How long an attempt may take of what is left: others who may be asked must have time to answer, too."""
    return left_s - min(left_s / 2, _FOR_OTHERS_S) if others else left_s


@dataclass(frozen=True, slots=True)
class Try:
    """Call this deployment with this credential; its answer must have begun within `patience_s`."""

    deployment: Deployment
    credential: Credential
    patience_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait, then ask again what is next."""

    seconds: float


class Attempted(NamedTuple):
    """An attempt that is over. `what` is "200", the status it was refused with, or the kind of failure."""

    provider: str
    model: str
    what: str
    elapsed_s: float
