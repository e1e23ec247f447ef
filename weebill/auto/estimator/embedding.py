"""A static embedding: a text's vector is the weighted mean of its pieces' vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.estimator.artefact import EMBEDDING, Embedding, read_embedding
from weebill.auto.estimator.text import visible
from weebill.auto.estimator.wordpiece import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Embedder:
    """Embeds texts; the cosine of two vectors is their similarity in meaning."""

    def __init__(self, embedding: Embedding, words: Words | None = None) -> None:
        """`words` are those of an estimator with the same vocabulary, so that texts are read once for both."""
        self._embedding = embedding
        self._words = Words(embedding.vocabulary) if words is None else words

    @classmethod
    def load(cls, path: Path | None = None) -> Embedder:
        """Returns the embedding in `path`, or the packaged one. Raises ArtefactError, or OSError."""
        return cls(read_embedding(path or EMBEDDING))

    @property
    def dimensions(self) -> int:
        return len(self._embedding.scale)

    def embed(self, text: str) -> NDArray[np.float32]:
        """Returns a unit vector (D,) of float32; zero for a text without a known piece."""
        return self.embed_seen(visible(text))[0]

    def embed_seen(self, seen: str) -> tuple[NDArray[np.float32], int]:
        """Returns the vector of a text that is all `visible`, and its number of tokens."""
        hashes, rows = self._words.read(seen)
        weights = self._embedding.weight.take(rows)
        vector = (weights @ self._embedding.rows.take(rows, 0).astype(np.float32)) * self._embedding.scale
        norm = float(vector @ vector) ** 0.5
        return vector / np.float32(norm) if norm > 0 else vector, len(hashes)
