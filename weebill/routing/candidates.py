"""A deployment as a candidate for a request."""

from __future__ import annotations

from typing import NamedTuple

from weebill.routing.deployments import Deployment


class Candidate(NamedTuple):
    """A deployment that may serve a request; the tier with the lowest number comes first. `model` is the index of its
    model in a request that names several.
    """

    deployment: Deployment
    weight: float = 1.0
    tier: int = 0
    model: int = 0
