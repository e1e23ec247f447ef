"""The features of a request's text for `weebill.auto.posterior`: its place among texts, in a few dimensions.

1. a constant,
2. the text's vector in the static embedding, projected on the directions in which prompts differ most,
3. the marks of its surface (`weebill.auto.estimator.text.SURFACE`) in standard deviations, together of unit weight.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from weebill.auto.estimator.artefact import ArtefactError, Card, read_arrays, write_arrays
from weebill.auto.estimator.embedding import Embedder
from weebill.auto.estimator.text import MAX_SURFACE, surface, visible
from weebill.auto.posterior import Prior

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PRIOR = Path(__file__).parent / "data" / "prior.npz"
FORMAT = 1


@dataclass(frozen=True)
class Projection:
    """The map from an embedding of E dimensions and S marks to D = 1 + K + S features."""

    centre: Floats  # (E,)
    directions: Floats  # (E, K)
    surface_mean: Floats  # (S,)
    surface_scale: Floats  # (S,)

    @property
    def dimensions(self) -> int:
        return 1 + len(self.directions[0]) + len(self.surface_mean)

    @property
    def name(self) -> str:
        """The name of the features: sums of outcomes belong to the projection that they were made with."""
        parts = (self.centre, self.directions, self.surface_mean, self.surface_scale)
        return f"place-{zlib.crc32(b''.join(part.astype('<f4').tobytes() for part in parts)):08x}"

    def features(self, vectors: Floats, marks: Floats) -> Floats:
        """Returns (..., D) for vectors (..., E) and marks (..., S)."""
        found = np.empty((*vectors.shape[:-1], self.dimensions))
        last = len(self.directions[0]) + 1
        found[..., 0] = 1.0
        np.matmul(vectors - self.centre, self.directions, out=found[..., 1:last])
        standard = (marks - self.surface_mean) / self.surface_scale
        np.maximum(np.minimum(standard, MAX_SURFACE), -MAX_SURFACE, out=found[..., last:])
        found[..., last:] /= len(self.surface_mean) ** 0.5
        return found


@dataclass(frozen=True)
class PriorFile:
    """The file that is shipped: the features and the prior over their weights, for two tiers."""

    card: Card
    projection: Projection
    prior: Prior


class Places:
    """Reads texts: a vector in the embedding and marks of the surface, then their projection."""

    def __init__(self, projection: Projection, embedder: Embedder) -> None:
        self._projection = projection
        self._embedder = embedder

    def features(self, text: str) -> Floats:
        """Returns (D,); every text has features, even an empty one."""
        return self._projection.features(*read(self._embedder, text))


def read(embedder: Embedder, text: str) -> tuple[Floats, Floats]:
    """Returns a text's vector (E,) and marks (S,)."""
    seen = visible(text)
    vector, tokens = embedder.embed_seen(seen)
    return vector.astype(np.float64), surface(seen, tokens).astype(np.float64)


def write_prior(file: PriorFile, path: Path) -> None:
    """Writes a prior atomically."""
    projection, prior = file.projection, file.prior
    write_arrays(
        path,
        card=np.frombuffer(msgspec.json.encode(file.card), np.uint8),
        noise=np.array(prior.noise, np.float32),
        **{name: getattr(projection, name).astype(np.float32) for name in _OF_PROJECTION},
        **{name: getattr(prior, name).astype(np.float32) for name in _OF_PRIOR},
    )


def read_prior(path: Path = PRIOR) -> PriorFile:
    """Reads a prior. Raises ArtefactError, or OSError if the file cannot be read."""
    arrays = read_arrays(path, ("card", "noise", *_OF_PROJECTION, *_OF_PRIOR))
    try:
        card = msgspec.json.decode(arrays["card"].tobytes(), type=Card)
    except msgspec.DecodeError as error:
        raise ArtefactError(f"{path} has no card that can be read: {error}") from error
    if card.format != FORMAT:
        raise ArtefactError(f"{path} is of format {card.format}; this version reads {FORMAT}")
    values = {name: arrays[name].astype(np.float64) for name in (*_OF_PROJECTION, *_OF_PRIOR)}
    projection = Projection(**{name: values[name] for name in _OF_PROJECTION})
    prior = Prior(**{name: values[name] for name in _OF_PRIOR}, noise=float(arrays["noise"].astype(np.float64)))
    if prior.mean.shape != (len(card.tiers), projection.dimensions):
        raise ArtefactError(f"{path} has a prior of shape {prior.mean.shape} for {projection.dimensions} features")
    return PriorFile(card, projection, prior)


_OF_PROJECTION = ("centre", "directions", "surface_mean", "surface_scale")
_OF_PRIOR = ("mean", "scale", "correlation")
