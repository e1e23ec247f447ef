"""What a request does next, and what it has done."""

from __future__ import annotations

from typing import NamedTuple

from weebill.routing.credentials import Credential
from weebill.routing.deployments import Deployment


class Try(NamedTuple):
    """Call this deployment with this credential; its answer must have begun within `patience_s`."""

    deployment: Deployment
    credential: Credential
    patience_s: float


class Pause(NamedTuple):
    """Wait, then ask again what is next."""

    seconds: float


class Attempted(NamedTuple):
    """An attempt that is over. `what` is "200", the status it was refused with, or the kind of failure."""

    provider: str
    model: str
    what: str
    elapsed_s: float
