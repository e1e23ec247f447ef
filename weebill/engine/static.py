"""Static vectors: the vector of a text is the mean of those of its tokens, made to have the length 1.

As the library model2vec computes it (https://github.com/MinishLab/model2vec, `model2vec/model.py`), but that a text is
never cut short, and all texts of a request are summed at once. A text without a known token has the vector 0.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from weebill.engine.errors import EngineError
from weebill.engine.role import EngineBoot
from weebill.engine.serving.jobs import Job, RefusedError
from weebill.engine.serving.server import PythonServer
from weebill.models.errors import ModelFormatError
from weebill.models.safetensors import Place
from weebill.models.static.layout import read_vectors

Floats = NDArray[np.float32]
Numbers = NDArray[np.generic]
Integers = NDArray[np.int64]

_PATH: Final = "/v1/embeddings"
_TYPES: Final = dict(
    (
        *(("F64", "<f8"), ("F32", "<f4"), ("F16", "<f2"), ("I8", "|i1")),
        *(("I64", "<i8"), ("I32", "<i4"), ("U64", "<u8"), ("U32", "<u4"), ("U16", "<u2")),
    )
)
_encode: Final = msgspec.json.encode


class _Request(msgspec.Struct, frozen=True):
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] = "float"


class _Item(msgspec.Struct, frozen=True):
    index: int
    embedding: str | list[float]
    object: str = "embedding"


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    total_tokens: int


class _Answer(msgspec.Struct, frozen=True):
    data: list[_Item]
    model: str
    usage: _Usage
    object: str = "list"


_decode: Final = msgspec.json.Decoder(_Request).decode


class StaticServer(PythonServer):
    """A model of static vectors that is served."""

    @classmethod
    def start(cls, told: EngineBoot) -> Self:
        """Loads the model and serves it; returns when it answers. Raises EngineError."""
        # Threads of its own would wait for each other longer than they work on a request.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        try:
            model = StaticModel.open(Path(told.path), Path(told.tokenizer or ""))
        except (ModelFormatError, OSError) as error:
            raise EngineError(str(error)) from error
        return cls(_Embedder(model, told.model, told.engine.context), told, told.engine.context)


class StaticModel:
    """The vectors of a vocabulary, and the tokenizer that takes texts apart."""

    def __init__(self, tokenizer: Tokenizer, table: Numbers, weights: Floats | None, mapping: Integers | None) -> None:
        self._tokenizer = tokenizer
        self._table = table
        self._weights = weights
        self._mapping = mapping
        unknown = getattr(tokenizer.model, "unk_token", None)
        self._unknown = None if unknown is None else tokenizer.token_to_id(unknown)
        self.vocabulary = tokenizer.get_vocab_size()
        """The number of tokens."""

    @classmethod
    def open(cls, weights: Path, tokenizer: Path) -> Self:
        """Reads a model's files. Raises ModelFormatError or OSError."""
        found = read_vectors(weights)
        try:
            reader = Tokenizer.from_file(str(tokenizer))
        except Exception as error:  # the library raises nothing narrower
            raise ModelFormatError(f"{tokenizer} is no tokenizer: {error}") from None
        reader.no_truncation()
        reader.no_padding()
        table = _mapped(found.table)
        mapping = None if found.mapping is None else _mapped(found.mapping).astype(np.int64)
        factors = None if found.weights is None else _mapped(found.weights).astype(np.float32)
        size = reader.get_vocab_size()
        rows = len(table) if mapping is None else len(mapping)
        if rows < size or (factors is not None and len(factors) < size):
            raise ModelFormatError(f"{weights} has {rows:,} tokens, and {tokenizer} has {size:,}.")
        if mapping is not None and not 0 <= mapping.min() <= mapping.max() < len(table):
            raise ModelFormatError(f"The mapping in {weights} names rows beyond its {len(table):,}.")
        return cls(reader, table, factors, mapping)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the tokens of texts, without those that stand around a text for other models."""
        return [each.ids for each in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def vectors(self, tokens: Sequence[Sequence[int]]) -> Floats:
        """Returns a row for each text."""
        known = [[token for token in each if token != self._unknown] for each in tokens]
        sums = np.zeros((len(known), self._table.shape[1]), np.float32)
        counts = np.fromiter(map(len, known), np.int64, len(known))
        (full,) = counts.nonzero()
        if not len(full):
            return sums
        flat = np.fromiter((token for each in known for token in each), np.int64, int(counts.sum()))
        rows = self._table[flat if self._mapping is None else self._mapping[flat]].astype(np.float32, copy=False)
        if self._weights is not None:
            rows = rows * self._weights[flat][:, None]
        # Of texts with tokens alone: an empty stretch would be taken for its first row.
        starts = np.concatenate(([0], np.cumsum(counts[full])[:-1]))
        sums[full] = np.add.reduceat(rows, starts, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        sums /= lengths
        return sums


class _Embedder:
    """Answers requests for vectors, one after the other."""

    parallel = 1

    def __init__(self, model: StaticModel, name: str, context: int) -> None:
        self._model = model
        self._name = name
        self._context = context

    @property
    def paths(self) -> Collection[str]:
        return (_PATH,)

    def begin(self, job: Job) -> None:
        try:
            request = _decode(job.body)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise RefusedError.invalid(str(error)) from None
        tokens = self._tokens(request.input)
        for each in tokens:
            if len(each) > self._context:
                # In llama.cpp's words, which the gateway reads.
                message = (
                    f"input ({len(each)} tokens) is larger than the max context size ({self._context} tokens). skipping"
                )
                raise RefusedError.too_long(message, len(each), self._context)
        vectors = self._model.vectors(tokens)
        count = sum(map(len, tokens))
        items = [_Item(index, _written(vector, request)) for index, vector in enumerate(vectors)]
        job.answer(_encode(_Answer(items, self._name, _Usage(count, count))))

    def step(self, jobs: Collection[Job]) -> None:
        """Does nothing: what was begun is done."""

    def _tokens(self, given: str | list[str | int | list[int]]) -> list[list[int]]:
        """Returns the tokens of each text. Raises RefusedError."""
        if isinstance(given, str):
            return self._model.tokens([given])
        texts = [each for each in given if isinstance(each, str)]
        if len(texts) == len(given):
            return self._model.tokens(texts)
        single = [each for each in given if isinstance(each, int)]
        lists = [single] if len(single) == len(given) else [each for each in given if isinstance(each, list)]
        if texts or (single and len(single) < len(given)):
            raise RefusedError.invalid("The items of the input are of several types.", "input")
        if any(not 0 <= token < self._model.vocabulary for each in lists for token in each):
            raise RefusedError.invalid("Prompt contains invalid tokens", "input")
        return lists


def _written(vector: Floats, request: _Request) -> str | list[float]:
    if request.encoding_format == "base64":
        return b64encode(vector.astype("<f4", copy=False).tobytes()).decode()
    return [float(number) for number in vector]


def _mapped(place: Place) -> Numbers:
    """Returns a tensor that stays in its file: the system reads what is used, and hosts share it."""
    return np.asarray(np.memmap(place.path, _TYPES[place.dtype], "r", place.begin, place.shape))
