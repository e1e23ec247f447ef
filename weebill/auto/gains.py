"""The gain that is learnt from own outcomes, as a line through the shipped estimates.

The shipped router's chances are the features. Each tier has its own line, whose prior is the shipped estimate, so that
without outcomes the gain is the shipped one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from weebill.auto.decision import TierChances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WIDTH: Final = 4


def describe(chances: TierChances) -> Floats:
    """Returns the features of a request."""
    return np.array([1.0, chances.compact, chances.large, chances.gain])


def packed(features: Floats) -> bytes:
    """Returns features as bytes."""
    return features.astype("<f2").tobytes()


def unpacked(rows: list[bytes]) -> Floats:
    """Returns the features of N requests (N, D)."""
    return np.frombuffer(b"".join(rows), "<f2").astype(np.float64).reshape(len(rows), WIDTH)


class Line(msgspec.Struct, frozen=True):
    """The expected gain: the product of `weights` with the features."""

    weights: tuple[float, ...]

    def gain(self, features: Floats) -> float:
        """Returns the score that the large tier is expected to add, from -1 to 1."""
        return float(features @ np.array(self.weights))


encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(Line).decode
