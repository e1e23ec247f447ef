"""The steps of a request: what it does next, and the attempts that are over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from weebill.routing.credentials import Credential
from weebill.routing.deployments import Deployment

_FOR_OTHERS_S: Final = 120.0  # most answers have begun by then


def patience(left_s: float, others: bool) -> float:
    """Returns the seconds that an attempt may take of `left_s`; if there are `others`, they are left time to answer
    too.
    """
    return left_s - min(left_s / 2, _FOR_OTHERS_S) if others else left_s


@dataclass(frozen=True, slots=True)
class Try:
    """The step to call a deployment with a credential; the answer must have begun within `patience_s` seconds."""

    deployment: Deployment
    credential: Credential
    patience_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """The step to wait, and then to ask for the next step."""

    seconds: float


class PastAttempt(NamedTuple):
    """An attempt that is over. `result` is "200", the error status of the upstream, or the kind of failure."""

    provider: str
    model: str
    result: str
    elapsed_s: float
