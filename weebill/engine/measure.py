"""`python -m weebill.engine.measure`: measures the engine and the model of the `EngineBoot` on its standard input, and
prints `Figures`, both as JSON.

A process of its own: native code that crashes takes nobody with it, and nothing stays in memory. It asks over HTTP, as
the gateway does, so what is measured is what clients get.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import msgspec

from weebill.engine.kinds import KINDS
from weebill.engine.llama_http import LlamaHttp
from weebill.engine.role import EngineBoot
from weebill.engine.spinning import limit_spinning
from weebill.models.engine_choice import Figures

# Words of one token each, in the vocabularies of all common models.
_WORDS: Final = ("the", "of", "and", "to", "in", "is", "for", "on", "with", "as", "at", "by", "from", "or", "an", "be")
_SHORT: Final = 50
_LONG: Final = 500
_ANSWER_TOKENS: Final = 48
_ROUNDS: Final = 2
_TIMEOUT_S: Final = 120.0


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Chunk(msgspec.Struct):
    usage: _Usage | None = None


_decode: Final = msgspec.json.Decoder(_Chunk).decode


class _Answered(msgspec.Struct, frozen=True):
    """An answer: its tokens, and the seconds to its first and to its last one."""

    prompt_tokens: int
    tokens: int
    first_s: float
    last_s: float


def measure(told: EngineBoot) -> Figures:
    """Returns the figures of an engine: the best of a few requests. Raises ImportError, or as `LlamaHttp.ask`."""
    limit_spinning()
    server = KINDS[told.kind].load().start(told)
    engine = LlamaHttp(server.base_url, told.api_key, _TIMEOUT_S)
    _ask(engine, _LONG, 0)  # the first one reads the file, and compiles
    long = [_ask(engine, _LONG, 1 + each) for each in range(_ROUNDS)]
    short = [_ask(engine, _SHORT, 101 + each) for each in range(_ROUNDS)]
    return Figures(
        prompt=max(each.prompt_tokens / each.first_s for each in long),
        answer=max((each.tokens - 1) / max(1e-6, each.last_s - each.first_s) for each in (*long, *short)),
        first_token_s=min(each.first_s for each in short),
    )


def _ask(engine: LlamaHttp, tokens: int, number: int) -> _Answered:
    body = {
        "prompt": _prompt(tokens, number),
        "max_tokens": _ANSWER_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    begun = time.monotonic()
    first = last = 0.0
    usage = _Usage(0, 0)
    for event in engine.events("/v1/completions", msgspec.json.encode(body)):
        last = time.monotonic() - begun
        first = first or last
        usage = _decode(event).usage or usage
    return _Answered(usage.prompt_tokens, usage.completion_tokens, first, last)


def _prompt(tokens: int, number: int) -> str:
    """Returns a prompt of about so many tokens; those of different numbers differ from their first word on."""
    return " ".join(_WORDS[(number + each + each // len(_WORDS)) % len(_WORDS)] for each in range(tokens))


if __name__ == "__main__":
    found = measure(msgspec.json.decode(sys.stdin.buffer.read(), type=EngineBoot))
    sys.stdout.write(msgspec.json.encode(found).decode())
    sys.stdout.flush()
