"""The router's file: one `.npz` of plain arrays and its card. No pickle is ever read.

The token table has its own file, as it is larger, and estimates do not need it.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

FORMAT = 1
DATA = Path(__file__).parent / "data"
ROUTER, EMBEDDING = DATA / "router.npz", DATA / "embedding.npz"
TIERS = ("compact", "mid", "large")


class ArtefactError(Exception):
    """The file is not a router, or not one that this version reads."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The description of an artefact, for people and for `weebill router show`."""

    format: int = FORMAT
    name: str
    made: str  # the date, ISO 8601
    licence: str
    data: list[str]  # the training data: one line for each source, with its licence
    recipe: str  # the command that makes it
    tiers: list[str]  # the tiers whose answers it was trained on, smallest first
    rows: int
    figures: dict[str, str] = {}  # measured where it was trained; the name says on which data
    notes: list[str] = []


@dataclass(frozen=True)
class Model:
    """The parameters of a router. T tiers, B buckets of n-grams, V pieces, S surface features.

    A tier's logit is `scale * (n-grams + pieces + surface + bias) + shift`, calibrated on held-out rows. Columns of
    `ngrams` (B, 1 + T) are a bucket's inverse document frequency, and that times each tier's weight; columns of
    `pieces` (V, 1 + T) are a piece's weight in the embedding, and that times each tier's projection of its vector.
    `quantiles` are of the merit of held-out training rows, evenly spaced from the least to the greatest.
    """

    card: Card
    vocabulary: tuple[str, ...]
    ngrams: Floats
    pieces: Floats
    surface_mean: Floats
    surface_scale: Floats
    surface: Floats  # (S + S * (S + 1) / 2, T): the weights of the features, then of their products
    bias: Floats  # (T,)
    calibration: Floats  # (2, T): scale and shift
    quantiles: Floats


@dataclass(frozen=True)
class Embedding:
    """A static embedding: (V, D) int8 rows, the scale of each dimension, and each piece's weight in the mean."""

    vocabulary: tuple[str, ...]
    rows: NDArray[np.int8]
    scale: Floats  # (D,)
    weight: Floats  # (V,)


def write_model(model: Model, path: Path) -> None:
    """Writes a model atomically."""
    arrays = {name: getattr(model, name) for name in _MODEL_ARRAYS}
    write_arrays(path, card=_bytes(msgspec.json.encode(model.card)), vocabulary=_packed(model.vocabulary), **arrays)


def read_model(path: Path = ROUTER) -> Model:
    """Reads a model. Raises ArtefactError, or OSError if the file cannot be read."""
    arrays = read_arrays(path, ("card", "vocabulary", *_MODEL_ARRAYS))
    try:
        card = msgspec.json.decode(arrays.pop("card").tobytes(), type=Card)
    except msgspec.DecodeError as error:
        raise ArtefactError(f"{path} has no card that can be read: {error}") from error
    if card.format != FORMAT:
        raise ArtefactError(f"{path} is of format {card.format}; this version reads {FORMAT}")
    vocabulary = _unpacked(arrays.pop("vocabulary"))
    model = Model(card, vocabulary, **{name: values.astype(np.float32) for name, values in arrays.items()})
    if tuple(card.tiers) not in (TIERS, (TIERS[0], TIERS[-1])):
        raise ArtefactError(f"{path} is for the tiers {', '.join(card.tiers)}, not {', '.join(TIERS)}")
    tiers = len(card.tiers)
    if model.ngrams.shape[1:] != (1 + tiers,) or model.pieces.shape != (len(model.vocabulary), 1 + tiers):
        raise ArtefactError(f"{path} does not have {tiers} tiers throughout")
    return model


def write_embedding(embedding: Embedding, path: Path) -> None:
    """Writes an embedding atomically."""
    arrays = {name: getattr(embedding, name) for name in _EMBEDDING_ARRAYS}
    write_arrays(path, vocabulary=_packed(embedding.vocabulary), **arrays)


def read_embedding(path: Path = EMBEDDING) -> Embedding:
    """Reads an embedding. Raises ArtefactError, or OSError if the file cannot be read."""
    arrays = read_arrays(path, ("vocabulary", *_EMBEDDING_ARRAYS))
    return Embedding(
        _unpacked(arrays["vocabulary"]),
        rows=arrays["rows"].astype(np.int8),
        scale=arrays["scale"].astype(np.float32),
        weight=arrays["weight"].astype(np.float32),
    )


_MODEL_ARRAYS = (
    "ngrams",
    "pieces",
    "surface_mean",
    "surface_scale",
    "surface",
    "bias",
    "calibration",
    "quantiles",
)
_EMBEDDING_ARRAYS = ("rows", "scale", "weight")


def write_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    """Writes arrays atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    """Reads the named arrays. Raises ArtefactError, or OSError."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except KeyError as error:
        raise ArtefactError(f"{path} is not complete: {error.args[0]}") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{path} is not a router: {error}") from error


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _packed(vocabulary: tuple[str, ...]) -> NDArray[np.uint8]:
    return _bytes("\n".join(vocabulary).encode())


def _unpacked(packed: NDArray[np.generic]) -> tuple[str, ...]:
    return tuple(packed.tobytes().decode().split("\n"))
