"""Serves a model of static vectors as llama.cpp serves one that makes vectors."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from weebill.engine.errors import EngineError
from weebill.engine.role import EngineBoot
from weebill.engine.serving.jobs import Job, RefusedError
from weebill.engine.serving.server import PythonServer
from weebill.engine.static.model import Floats, StaticModel
from weebill.models.errors import ModelFormatError

_PATH: Final = "/v1/embeddings"
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
        if not tokens:
            raise RefusedError.invalid("The input is empty.", "input")
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

    def _tokens(self, given: str | list[str | int | list[int]]) -> Sequence[Sequence[int]]:
        """Returns the tokens of each text. Raises RefusedError."""
        if isinstance(given, str):
            return self._model.tokens.of([given])
        texts = [each for each in given if isinstance(each, str)]
        if len(texts) == len(given):
            return self._model.tokens.of(texts)
        single = [each for each in given if isinstance(each, int)]
        lists = [single] if len(single) == len(given) else [each for each in given if isinstance(each, list)]
        if texts or (single and len(single) < len(given)):
            raise RefusedError.invalid("The items of the input are of several types.", "input")
        if any(not 0 <= token < self._model.tokens.count for each in lists for token in each):
            raise RefusedError.invalid("Prompt contains invalid tokens", "input")
        return lists


def _written(vector: Floats, request: _Request) -> str | list[float]:
    if request.encoding_format == "base64":
        return b64encode(vector.astype("<f4", copy=False).tobytes()).decode()
    return [float(number) for number in vector]
