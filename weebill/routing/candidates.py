"""Who may serve a request."""

from __future__ import annotations

from typing import NamedTuple

from weebill.routing.deployments import Deployment


class Candidate(NamedTuple):
    """A deployment that may serve a request; the tier with the smallest number comes first.

    `model` counts the models of a request that names several, from 0.
    """

    deployment: Deployment
    weight: float = 1.0
    tier: int = 0
    model: int = 0
