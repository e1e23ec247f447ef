"""`python -m weebill.engine.probe FILE [THREADS]`: measures a model for some two seconds, and prints `Speed` as JSON.

A process of its own: native code that crashes takes nobody with it, and nothing stays in memory.
"""

from __future__ import annotations

import http.client
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from weebill.engine.role import EngineBoot, HostSettings
from weebill.engine.spinning import limit_spinning
from weebill.models.recommend import Speed

if TYPE_CHECKING:
    from weebill.engine.llama import LlamaServer

_KEY: Final = "probe"
_PROMPT: Final = "The weebill is the smallest bird of Australia, and its voice is larger than itself. " * 6
_ANSWER_TOKENS: Final = 48
_MEASURED_S: Final = 2.0


class _Timings(msgspec.Struct):
    prompt_per_second: float
    predicted_per_second: float


class _Completion(msgspec.Struct):
    timings: _Timings


def measure(file: Path, threads: int) -> Speed:
    """Returns the speed of the model in `file`: the best of what two seconds allow. Raises EngineError."""
    limit_spinning()
    from weebill.engine.llama import LlamaServer

    settings = HostSettings(context=1024, parallel=1, threads=threads)
    server = LlamaServer.start(EngineBoot(model="probe", api_key=_KEY, path=str(file), engine=settings))
    _ask(server)  # the first one reads the file
    best, until = Speed(0.0, 0.0), time.monotonic() + _MEASURED_S
    while time.monotonic() < until:
        found = _ask(server)
        best = Speed(max(best.prompt, found.prompt_per_second), max(best.answer, found.predicted_per_second))
    return best


def _ask(server: LlamaServer) -> _Timings:
    address = urlsplit(server.base_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    body = {"prompt": _PROMPT, "n_predict": _ANSWER_TOKENS, "cache_prompt": False, "ignore_eos": True}
    headers = {"Authorization": f"Bearer {_KEY}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/completion", msgspec.json.encode(body), headers)
        return msgspec.json.decode(connection.getresponse().read(), type=_Completion).timings
    finally:
        connection.close()


if __name__ == "__main__":
    path, *rest = sys.argv[1:]
    sys.stdout.write(msgspec.json.encode(measure(Path(path), int(rest[0]) if rest else 0)).decode())
    sys.stdout.flush()
