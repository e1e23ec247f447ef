"""The doubt about a gain: it may be so much larger than is expected. Pure.

A request unlike those that were audited has an expected gain that little is known of. As an estimate that is too low
costs quality, and one that is too high a little money, requests are ranked by what their gain may well be: traffic that
becomes different goes to the large tier until audits show that it need not.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DOUBT: Final = 2.0
"""The standard deviations that are added to an expected gain."""


class Doubt:
    """The doubt as a function of features, by a square root (D, D) of their weights' covariance."""

    def __init__(self, root: Floats) -> None:
        self._root = root

    @classmethod
    def of(cls, covariance: Floats) -> Doubt:
        """Returns the doubt that weights of that covariance leave."""
        return cls(DOUBT * np.linalg.cholesky(covariance).astype(np.float64, copy=False))

    @classmethod
    def none(cls, dimensions: int) -> Doubt:
        """Returns no doubt about any features (..., D)."""
        return cls(np.zeros((dimensions, 0)))

    def __call__(self, features: Floats) -> Floats:
        """Returns the doubt (N,) for features (N, D)."""
        found: Floats = np.sqrt(np.square(features @ self._root).sum(-1))
        return found

    def about(self, features: Floats) -> float:
        """Returns the doubt for the features (D,) of one request."""
        found = features @ self._root
        return sqrt(float(found @ found))

    def encoded(self) -> bytes:
        """Returns the bytes for `decoded`."""
        return self._root.astype("<f4").tobytes()

    @classmethod
    def decoded(cls, data: bytes) -> Doubt:
        """Returns the doubt that was encoded."""
        size = round((len(data) // 4) ** 0.5)
        return cls(np.frombuffer(data, "<f4").astype(np.float64).reshape(size, size))
