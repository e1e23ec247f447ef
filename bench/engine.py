"""The local model asked directly and through the gateway, in turns: what the gateway costs a token.

One engine host serves both ways: the benchmark starts it as the supervisor would, and gives it to a Weebill
without local models as a provider. Nothing is pinned here: the engine uses all cores, as it does in use.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.engines.client import Answer, Server, at_once, stream, tokens_per_s
from bench.engines.servers import brought, start_gateway, start_host
from bench.proc import BenchError
from bench.results import EngineSample, Run
from weebill.config.schema import Settings

_TOKENS = 128
_STREAMS = (1, 4)
_PATH = "/v1/chat/completions"


def measure_engine(run: Run, requests: int) -> None:
    """`requests` rounds of each path and number of streams; `run.absent` says why there are none."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    settings = Settings().local
    model = settings.models[0]
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as folder, ExitStack() as stack:
        try:
            host = start_host(Path(folder), model, brought(model), settings.engine, stack).server
            ways = [host, start_gateway(Path(folder), model, host, stack).server]
            for way in ways:
                stream(way, _PATH, _body(model, "warm up"))
            for number in range(requests):
                for streams in _STREAMS:
                    # The order alternates, so that neither always finds the engine as the other left it.
                    for way in ways if number % 2 else reversed(ways):
                        run.engine.append(_round(way, model, streams, number))
        except (BenchError, OSError) as error:
            run.absent["engine"] = str(error)


def _round(way: Server, model: str, streams: int, number: int) -> EngineSample:
    # Each prompt begins differently, so that none is found in the engine's prefix cache.
    bodies = [_body(model, f"{number}.{place} {way.name}") for place in range(streams)]
    answers = at_once(way, _PATH, bodies)
    _require_whole(way, answers)
    return EngineSample(
        path=way.name,
        streams=streams,
        round=number,
        tokens=sum(answer.tokens for answer in answers),
        tokens_per_s=tokens_per_s(answers),
        first_token_ms=1000 * sum(answer.first_s for answer in answers) / streams,
    )


def _require_whole(way: Server, answers: list[Answer]) -> None:
    for answer in answers:
        if answer.tokens != _TOKENS or answer.last_at <= answer.first_at:
            raise BenchError(f"{way.name}: {answer.tokens} tokens instead of {_TOKENS}")


def _body(model: str, label: str) -> dict[str, object]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": f"Story {label}: tell me of the birds in a winter garden."}],
        "max_tokens": _TOKENS,
        "temperature": 0,
        "ignore_eos": True,
    }
