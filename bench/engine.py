"""The local model asked directly and through the gateway, in turns: what the gateway costs a token.

One engine host serves both ways: the benchmark starts it as the supervisor would, and gives it to a Weebill
without local models as a provider. Nothing is pinned here: the engine uses all cores, as it does in use.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import peers
from bench.contenders import weebill_key, weebill_program
from bench.proc import BenchError, Service, free_port
from bench.results import EngineSample, Run
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.engine.role import EngineBoot, EngineReady
from weebill.models.pull import pull
from weebill.models.sharing import SharedModel
from weebill.models.store import ModelStore
from weebill.process.link import LINK_FD_VARIABLE
from weebill.process.messages import Boot, FromChild, Ready, own

_START_TIMEOUT_S = 60.0
_KEY = "sk-bench-engine"
_TOKENS = 128
_STREAMS = (1, 4)

_CONFIG = """\
[server]
port = {port}

[local]
models = []

[providers.engine]
base_url = "{base_url}/v1"
api_key = "{key}"
models = ["{model}"]
"""


@dataclass(frozen=True, slots=True)
class _Path:
    """One of the two ways to the engine."""

    name: str
    port: int
    key: str


class _Usage(msgspec.Struct):
    completion_tokens: int


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


@dataclass(frozen=True, slots=True)
class _Answer:
    """Times in seconds of `time.perf_counter`."""

    tokens: int
    sent_at: float
    first_at: float
    last_at: float


def measure_engine(run: Run, requests: int) -> None:
    """`requests` rounds of each path and number of streams; `run.absent` says why there are none."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    model = Settings().local.models[0]
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as folder, ExitStack() as stack:
        try:
            paths = _start(Path(folder), model, stack)
            for path in paths:
                _ask(path, model, "warm up")
            for number in range(requests):
                for streams in _STREAMS:
                    # The order alternates, so that neither always finds the engine as the other left it.
                    for path in paths if number % 2 else reversed(paths):
                        run.engine.append(_round(path, model, streams, number))
        except (BenchError, OSError) as error:
            run.absent["engine"] = str(error)


def _start(folder: Path, model: str, stack: ExitStack) -> list[_Path]:
    engine = _start_engine(folder, model, stack)
    host, _, port = engine.removeprefix("http://").partition(":")
    home = folder / "weebill"
    home.mkdir(mode=0o700)
    own_port = free_port()
    config = _CONFIG.format(port=own_port, base_url=f"http://{host}:{port}", key=_KEY, model=model)
    (home / "weebill.toml").write_text(config)
    key = weebill_key(home)
    env = {"WEEBILL_HOME": str(home), **peers.weebill()}
    service = Service([weebill_program(), "serve"], log=home / "log", env=env)
    stack.callback(service.stop)
    until = time.monotonic() + _START_TIMEOUT_S
    while not _listens(own_port):
        service.check()
        if time.monotonic() > until:
            raise BenchError(f"weebill is not ready after {_START_TIMEOUT_S:.0f} s: {service.log_end()}")
        time.sleep(0.1)
    return [_Path("engine", int(port), _KEY), _Path("gateway", own_port, key)]


def _start_engine(folder: Path, model: str, stack: ExitStack) -> str:
    """Start an engine host as the supervisor does; returns its origin."""
    settings, home = Settings(), Home.from_environment()
    home.create()
    served = pull(ModelStore.of(settings.local, home), model).served()
    ours, theirs = socket.socketpair()
    stack.callback(ours.close)  # its end is the host's sign to leave
    with theirs:
        service = Service(
            [sys.executable, "-m", "weebill.engine"],
            log=folder / "engine.log",
            env={LINK_FD_VARIABLE: str(theirs.fileno())},
            pass_fds=(theirs.fileno(),),
        )
    stack.callback(service.stop)
    told = EngineBoot.of(model, SharedModel({model: served}), settings.local.engine, _KEY)
    boot = Boot(role="engine", home=str(folder), settings=settings, own=own(told))
    ours.sendall(msgspec.json.encode(boot) + b"\n")
    ours.settimeout(_START_TIMEOUT_S)
    try:
        line = ours.makefile("rb").readline()
    except TimeoutError as error:
        raise BenchError(f"the engine is not ready after {_START_TIMEOUT_S:.0f} s: {service.log_end()}") from error
    if not line:
        raise BenchError(f"the engine ended: {service.log_end()}")
    message: FromChild = msgspec.json.decode(line, type=FromChild)
    if not isinstance(message, Ready):
        raise BenchError(f"the engine does not start: {message}")
    return msgspec.json.decode(message.own, type=EngineReady).base_url


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _round(path: _Path, model: str, streams: int, number: int) -> EngineSample:
    with ThreadPoolExecutor(streams) as pool:
        # Each prompt begins differently, so that none is found in the engine's prefix cache.
        answers = list(pool.map(lambda place: _ask(path, model, f"{number}.{place} {path.name}"), range(streams)))
    tokens = sum(answer.tokens for answer in answers)
    wall = max(answer.last_at for answer in answers) - min(answer.first_at for answer in answers)
    firsts = [answer.first_at - answer.sent_at for answer in answers]
    return EngineSample(
        path=path.name,
        streams=streams,
        round=number,
        tokens=tokens,
        tokens_per_s=(tokens - streams) / wall,
        first_token_ms=1000 * sum(firsts) / len(firsts),
    )


def _ask(path: _Path, model: str, label: str) -> _Answer:
    """Stream one answer of exactly `_TOKENS` tokens."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": f"Story {label}: tell me of the birds in a winter garden."}],
        "max_tokens": _TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"authorization": f"Bearer {path.key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", path.port, timeout=120)
    try:
        sent_at = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", msgspec.json.encode(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise BenchError(f"{path.name}: status {response.status}: {response.read(300).decode(errors='replace')}")
        times, tokens = [], 0
        for chunk in _chunks(response):
            if any(choice.delta.content for choice in chunk.choices):
                times.append(time.perf_counter())
            tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    finally:
        connection.close()
    if tokens != _TOKENS or len(times) < 2:
        raise BenchError(f"{path.name}: {tokens} tokens in {len(times)} chunks instead of {_TOKENS} tokens")
    return _Answer(tokens, sent_at, times[0], times[-1])


def _chunks(response: http.client.HTTPResponse) -> Iterator[_Chunk]:
    for line in response:
        if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
            yield _decode_chunk(line[6:])
