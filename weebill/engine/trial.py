"""`python -m weebill.engine.trial FILE`: has the engine load the `Sample` in a file of JSON and answer once; prints
`Outcome`.

1. The process bounds itself, and ends with the one that holds the other end of its standard input.
2. The engine loads the files. If it cannot, or dies, its words are on standard error, and the status is another one.
3. Each weight is looked at (`weebill.models.finite`), as one question leads to few tokens.
4. It is asked once, with all adapters. Weights that are not finite, or beyond what an engine computes with, make a
   value that is none, which then spreads to all that it answers, those to other requests included. Finite values are
   not judged: an adapter of noise, ten times as large as any that is trained, gives odds of the usual size.
"""

from __future__ import annotations

import math
import os
import resource
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from weebill.engine import memory
from weebill.engine.errors import EngineError
from weebill.engine.guard import killed_if_closed
from weebill.engine.llama_http import LlamaHttp
from weebill.engine.role import EngineBoot, HostSettings
from weebill.engine.spinning import limit_spinning
from weebill.models.errors import ModelFormatError
from weebill.models.finite import first_not_finite
from weebill.models.sources.parts import parts_of
from weebill.models.tasks import Serving
from weebill.models.trial import Outcome, Sample

_CONTEXT: Final = 256
# Bytes beyond what the files and the engine take: a step of a large model.
_WORKING_BYTES: Final = 1 << 30
# Of standard error.
_LOG_BYTES: Final = 16 << 20
_TEXT: Final = "The weebill is the smallest bird of Australia."
# A token that is a whole character, for which alone odds are told.
_LETTER: Final = "a"
_SURE: Final = 1000.0
_NOT_FINITE: Final = "what the engine computes with it are no finite numbers"


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _Odds(msgspec.Struct):
    logprob: float | None = None


class _Completion(msgspec.Struct):
    completion_probabilities: list[_Odds] = []


class _Vector(msgspec.Struct):
    embedding: list[float | None]


class _Vectors(msgspec.Struct):
    data: list[_Vector]


class _Rating(msgspec.Struct):
    relevance_score: float | None


class _Ratings(msgspec.Struct):
    results: list[_Rating]


def tried(sample: Sample) -> Outcome:
    """Returns the outcome of a trial in this process. Raises EngineError, ModelFormatError or OSError."""
    try:
        return Outcome(fault=_by_static(sample) if sample.kind == "static" else _by_llama(sample))
    except ImportError as error:
        return Outcome(untried=f"the engine is not installed ({error})")


def _by_static(sample: Sample) -> str:
    from weebill.engine.static.model import StaticModel

    if sample.tokenizer is None:
        return "it has no tokenizer"
    return StaticModel.open(Path(sample.path), Path(sample.tokenizer)).fault()


def _by_llama(sample: Sample) -> str:
    from weebill.engine.llama import LlamaServer

    key = secrets.token_urlsafe(16)
    told = EngineBoot(
        model="trial",
        api_key=key,
        path=sample.path,
        task=sample.task,
        engine=HostSettings(context=_CONTEXT, parallel=1, max_waiting=1),
        is_pooled=sample.is_pooled,
        chat_template=sample.chat_template,
        adapters=sample.adapters,
        projector=sample.projector,
        is_trial=True,
    )
    server = LlamaServer.start(told)
    spoilt = next(filter(None, map(_spoilt, _files(sample))), "")
    if spoilt:
        return spoilt
    # Whoever wants to know bounds the time.
    found = [*_ASKED[sample.task](LlamaHttp(server.base_url, key, timeout_s=None), len(sample.adapters))]
    return "" if found and all(each is not None and math.isfinite(each) for each in found) else _NOT_FINITE


def _files(sample: Sample) -> Iterable[Path]:
    """Returns all files with weights."""
    path = Path(sample.path)
    projectors = () if sample.projector is None else (sample.projector,)
    return (*map(path.with_name, parts_of(path.name)), *map(Path, (*sample.adapters, *projectors)))


def _spoilt(path: Path) -> str:
    tensor = first_not_finite(path)
    return f"its {tensor} has a weight that is no finite number" if tensor else ""


def _odds(server: LlamaHttp, adapters: int) -> Iterable[float | None]:
    """Yields the logarithm of a token's odds; nothing if another one was taken than the one that is made sure."""
    letter = msgspec.json.decode(server.ask("/tokenize", _body(content=_LETTER)), type=_Tokens).tokens
    body = _body(
        prompt=_TEXT,
        n_predict=1,
        temperature=0,
        n_probs=1,
        ignore_eos=True,
        logit_bias=[[token, _SURE] for token in letter[-1:]],
        lora=[{"id": number, "scale": 1.0} for number in range(adapters)],
    )
    answer = msgspec.json.decode(server.ask("/completion", body), type=_Completion)
    return (each.logprob for each in answer.completion_probabilities)


def _vector(server: LlamaHttp, adapters: int) -> Iterable[float | None]:
    answer = msgspec.json.decode(server.ask("/v1/embeddings", _body(input=_TEXT)), type=_Vectors)
    return (value for each in answer.data for value in each.embedding)


def _rating(server: LlamaHttp, adapters: int) -> Iterable[float | None]:
    body = _body(query=_LETTER, documents=[_TEXT])
    answer = msgspec.json.decode(server.ask("/v1/rerank", body), type=_Ratings)
    return (each.relevance_score for each in answer.results)


_ASKED: Final[Mapping[Serving, Callable[[LlamaHttp, int], Iterable[float | None]]]] = {
    "chat": _odds,
    "embed": _vector,
    "rerank": _rating,
}


def _body(**fields: object) -> bytes:
    return msgspec.json.encode(fields)


def main() -> int:
    """Tries the sample in the file that the command names; returns the exit status."""
    sample = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Sample)
    # A debugger attached to a dying process would only delay its end, as would an image of its memory.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LOG_BYTES, _LOG_BYTES))
    limit_spinning()
    memory.limit(sample.need + _WORKING_BYTES)
    with killed_if_closed(sys.stdin.fileno()):
        try:
            outcome = tried(sample)
        except (EngineError, ModelFormatError, OSError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: it would wait for native threads.
    os._exit(status)
