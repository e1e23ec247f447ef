"""`python -m weebill.engine.probe FILE [THREADS]`: measures a model for some two seconds, and prints `Speed` as JSON.

A process of its own: native code that crashes takes nobody with it, and nothing stays in memory.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from weebill.engine.llama_http import LlamaHttp
from weebill.engine.role import EngineBoot, HostSettings
from weebill.engine.spinning import limit_spinning
from weebill.models.recommend import Speed

_KEY: Final = "probe"
_PROMPT: Final = "The weebill is the smallest bird of Australia, and its voice is larger than itself. " * 6
_ANSWER_TOKENS: Final = 48
_MEASURED_S: Final = 2.0


class _Timings(msgspec.Struct):
    prompt_per_second: float
    predicted_per_second: float


class _Completion(msgspec.Struct):
    timings: _Timings


_decode: Final = msgspec.json.Decoder(_Completion).decode


def measure(file: Path, threads: int) -> Speed:
    """Returns the speed of the model in `file`: the best of what two seconds allow. Raises as `LlamaHttp.ask`."""
    limit_spinning()
    from weebill.engine.llama import LlamaServer

    settings = HostSettings(context=1024, parallel=1, threads=threads)
    server = LlamaServer.start(EngineBoot(model="probe", api_key=_KEY, path=str(file), engine=settings))
    engine = LlamaHttp(server.base_url, _KEY)
    _ask(engine)  # the first one reads the file
    best, until = Speed(0.0, 0.0), time.monotonic() + _MEASURED_S
    while time.monotonic() < until:
        found = _ask(engine)
        best = Speed(max(best.prompt, found.prompt_per_second), max(best.answer, found.predicted_per_second))
    return best


def _ask(engine: LlamaHttp) -> _Timings:
    body = {"prompt": _PROMPT, "n_predict": _ANSWER_TOKENS, "cache_prompt": False, "ignore_eos": True}
    return _decode(engine.ask("/completion", msgspec.json.encode(body))).timings


if __name__ == "__main__":
    path, *rest = sys.argv[1:]
    sys.stdout.write(msgspec.json.encode(measure(Path(path), int(rest[0]) if rest else 0)).decode())
    sys.stdout.flush()
