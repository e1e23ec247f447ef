"""The sufficient statistics of outcomes: sums, from which no request can be read back once there are some.

An outcome is the features of a request, the tier that answered it, and how well, 0 to 1. The sums of two sets of
outcomes add up to those of both, in any order, so that they can be merged, and a fold be taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FORMAT = 1


class MomentsError(ValueError):
    """The statistics cannot be read, or do not belong together."""


@dataclass(frozen=True)
class Moments:
    """Sums over the outcomes of T tiers with D features, each by its weight. Never changed in place."""

    count: Floats  # (T,)
    features: Floats  # (T, D, D): of the features' products in pairs
    scores: Floats  # (T, D): of the features times the score

    @classmethod
    def none(cls, tiers: int, dimensions: int) -> Moments:
        """Returns the sums over no outcome."""
        return cls(np.zeros(tiers), np.zeros((tiers, dimensions, dimensions)), np.zeros((tiers, dimensions)))

    @classmethod
    def of(cls, features: Floats, scores: Floats) -> Moments:
        """Returns the sums over N requests at once: `features` (N, D), `scores` (N, T), NaN where a tier's score
        is not known.
        """
        known = ~np.isnan(scores)
        taken = [features[each] for each in known.T]
        return cls(
            known.sum(0).astype(float),
            np.stack([rows.T @ rows for rows in taken]),
            np.stack([values[each] @ rows for values, each, rows in zip(scores.T, known.T, taken, strict=True)]),
        )

    @property
    def tiers(self) -> int:
        return len(self.scores)

    @property
    def dimensions(self) -> int:
        return len(self.scores[0])

    def with_outcome(self, features: Floats, tier: int, score: float, weight: float = 1.0) -> Moments:
        """Returns the sums with one more outcome: `features` are (D,), `tier` is a position.

        A weight below 1 is for a score that is less sure, such as one guessed from a retry.
        """
        count, products, scores = self.count.copy(), self.features.copy(), self.scores.copy()
        weighted = weight * features
        count[tier] += weight
        products[tier] += np.multiply.outer(weighted, features)
        scores[tier] += score * weighted
        return Moments(count, products, scores)

    def __add__(self, other: Moments) -> Moments:
        """Returns the sums over both. Raises MomentsError if tiers or features differ."""
        self._check(other)
        return Moments(self.count + other.count, self.features + other.features, self.scores + other.scores)

    def __sub__(self, part: Moments) -> Moments:
        """Returns the sums without those of a part, such as a fold. Raises MomentsError as `+` does."""
        self._check(part)
        return Moments(self.count - part.count, self.features - part.features, self.scores - part.scores)

    def faded(self, kept: float) -> Moments:
        """Returns the sums with all weights times `kept`, 0 to 1: what is old counts less.

        Faded by `kept` with each outcome, the sums have the weight of the last 1 / (1 - kept) outcomes.
        """
        return Moments(self.count * kept, self.features * kept, self.scores * kept)

    def _check(self, other: Moments) -> None:
        if self.scores.shape != other.scores.shape:
            raise MomentsError(f"sums of shapes {self.scores.shape} and {other.scores.shape} do not add up")


class _Kept(msgspec.Struct, frozen=True):
    """The sums as bytes of little-endian float64; of the symmetric products, the upper triangle."""

    format: int
    made_with: str
    tiers: int
    dimensions: int
    count: bytes
    features: bytes
    scores: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


def packed(moments: Moments, made_with: str) -> bytes:
    """Returns the sums as bytes; `made_with` names the features that they are of."""
    rows, columns = np.triu_indices(moments.dimensions)
    parts = (moments.count, moments.features[:, rows, columns], moments.scores)
    return _encode(_Kept(FORMAT, made_with, moments.tiers, moments.dimensions, *map(_bytes, parts)))


def unpacked(data: bytes, made_with: str) -> Moments:
    """Returns the sums. Raises MomentsError if they cannot be read, or are of other features."""
    try:
        kept = _decode(data)
    except msgspec.DecodeError as error:
        raise MomentsError(f"the sums cannot be read: {error}") from error
    if kept.format != FORMAT or kept.made_with != made_with:
        raise MomentsError(
            f"the sums are of format {kept.format} and of the features {kept.made_with}, "
            f"not of format {FORMAT} and of {made_with}"
        )
    tiers, dimensions = kept.tiers, kept.dimensions
    shapes = ((tiers,), (tiers, dimensions * (dimensions + 1) // 2), (tiers, dimensions))
    try:
        count, triangle, scores = map(_floats, (kept.count, kept.features, kept.scores), shapes)
    except ValueError as error:
        raise MomentsError(f"the sums are not complete: {error}") from error
    products = np.zeros((tiers, dimensions, dimensions))
    rows, columns = np.triu_indices(dimensions)
    products[:, rows, columns] = products[:, columns, rows] = triangle
    return Moments(count, products, scores)


def together(parts: Sequence[Moments]) -> Moments:
    """Returns the sums over one or more sets of outcomes. Raises MomentsError as `+` does."""
    first, *others = parts
    for other in others:
        first = first + other
    return first


def _bytes(values: Floats) -> bytes:
    return values.astype("<f8").tobytes()


def _floats(data: bytes, shape: tuple[int, ...]) -> Floats:
    values = np.frombuffer(data, "<f8").astype(np.float64).reshape(shape)
    if not np.isfinite(values).all():
        raise ValueError("a sum is not a number")
    return values
