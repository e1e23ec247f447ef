"""Makes static vectors of those that an embedding model has for each token alone, as model2vec does.

1. The vectors, centred, are turned to their principal components, of which the first ones are kept (PCA).
2. A token of rank `r` counts `a / (a + p)`: `p` is how often it stands in texts by Zipf's law, `1 / (r + 1)` over the
   sum of these, as a vocabulary is in the order of frequency. (Arora et al. 2017, "A Simple but Tough-to-Beat Baseline
   for Sentence Embeddings", https://openreview.net/forum?id=SyK00v5xx; `model2vec/distill/inference.py`.)
"""

from __future__ import annotations

from typing import IO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

DIMENSIONS: Final = 256
_COEFFICIENT: Final = 1e-4
# A header of safetensors is filled up to whole ones.
_ALIGNMENT: Final = 8


def distilled(vectors: Floats, dimensions: int = DIMENSIONS) -> Floats:
    """Returns a row for each token of a vocabulary in the order of frequency, of `dimensions` numbers at most."""
    return (_components(vectors, dimensions) * _weights(len(vectors))[:, None]).astype(np.float32)


def config_json(base: str, dimensions: int) -> bytes:
    """Returns the configuration of a model that is made of the model `base`."""
    return msgspec.json.encode(
        {
            "model_type": "model2vec",
            "architectures": ["StaticModel"],
            "tokenizer_name": base,
            "apply_pca": dimensions,
            "sif_coefficient": _COEFFICIENT,
            "hidden_dim": dimensions,
            "seq_length": 1_000_000,
            "normalize": True,
            "pooling": "mean",
            "embedding_dtype": "float16",
        }
    )


def write_vectors(file: IO[bytes], rows: Floats) -> None:
    """Writes a safetensors file with the rows in 16 bits, as `embeddings`."""
    values = rows.astype("<f2")
    entry = {"dtype": "F16", "shape": values.shape, "data_offsets": (0, values.nbytes)}
    header = msgspec.json.encode({"embeddings": entry})
    header += b" " * (-len(header) % _ALIGNMENT)
    file.write(len(header).to_bytes(8, "little") + header)
    file.write(values.tobytes())


def _components(vectors: Floats, dimensions: int) -> NDArray[np.float64]:
    centred = np.nan_to_num(vectors).astype(np.float64)
    centred -= centred.mean(axis=0)
    # The eigenvectors of the covariance, those of the largest eigenvalues first.
    _, axes = np.linalg.eigh(centred.T @ centred)
    found: NDArray[np.float64] = centred @ axes[:, ::-1][:, :dimensions]
    return found


def _weights(count: int) -> NDArray[np.float64]:
    frequencies = 1 / np.arange(2, count + 2)
    found: NDArray[np.float64] = _COEFFICIENT / (_COEFFICIENT + frequencies / frequencies.sum())
    return found
