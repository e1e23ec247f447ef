"""`python -m weebill.engine.measure`: measures the engine and the model of the `EngineBoot` on its standard input, and
prints `Figures`, both as JSON.

A process of its own: native code that crashes takes nobody with it, and nothing stays in memory. It asks over HTTP, as
the gateway does, so what is measured is what clients get.
"""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from weebill.engine.errors import EngineError
from weebill.engine.interface import Engine
from weebill.engine.kinds import KINDS
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
_DATA: Final = b"data: "
_DONE: Final = b"data: [DONE]"


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Chunk(msgspec.Struct):
    usage: _Usage | None = None


class _Answered(msgspec.Struct, frozen=True):
    """An answer: its tokens, and the seconds to its first and to its last one."""

    prompt_tokens: int
    tokens: int
    first_s: float
    last_s: float


def measure(told: EngineBoot) -> Figures:
    """Returns the figures of an engine: the best of a few requests. Raises EngineError, or ImportError."""
    limit_spinning()
    engine = KINDS[told.kind].load().start(told)
    _ask(engine, told, _LONG, 0)  # the first one reads the file, and compiles
    long = [_ask(engine, told, _LONG, 1 + each) for each in range(_ROUNDS)]
    short = [_ask(engine, told, _SHORT, 101 + each) for each in range(_ROUNDS)]
    return Figures(
        prompt=max(each.prompt_tokens / each.first_s for each in long),
        answer=max((each.tokens - 1) / max(1e-6, each.last_s - each.first_s) for each in (*long, *short)),
        first_token_s=min(each.first_s for each in short),
    )


def _ask(engine: Engine, told: EngineBoot, tokens: int, number: int) -> _Answered:
    body = {
        "prompt": _prompt(tokens, number),
        "max_tokens": _ANSWER_TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    address = urlsplit(engine.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {told.api_key}", "Content-Type": "application/json"}
    begun = time.monotonic()
    try:
        connection.request("POST", "/v1/completions", msgspec.json.encode(body), headers)
        first = last = 0.0
        usage = _Usage(0, 0)
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise EngineError(f"it answers with status {response.status}: {response.read().decode(errors='replace')}")
        for chunk in _chunks(response):
            last = time.monotonic() - begun
            first = first or last
            usage = chunk.usage or usage
        return _Answered(usage.prompt_tokens, usage.completion_tokens, first, last)
    finally:
        connection.close()


def _prompt(tokens: int, number: int) -> str:
    """Returns a prompt of about so many tokens; those of different numbers differ from their first word on."""
    return " ".join(_WORDS[(number + each + each // len(_WORDS)) % len(_WORDS)] for each in range(tokens))


def _chunks(lines: http.client.HTTPResponse) -> Iterator[_Chunk]:
    for line in lines:
        if line.startswith(_DATA) and line.strip() != _DONE:
            yield msgspec.json.decode(line.removeprefix(_DATA), type=_Chunk)


if __name__ == "__main__":
    found = measure(msgspec.json.decode(sys.stdin.buffer.read(), type=EngineBoot))
    sys.stdout.write(msgspec.json.encode(found).decode())
    sys.stdout.flush()
