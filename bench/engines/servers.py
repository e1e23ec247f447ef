"""Servers that are measured: an engine host as the supervisor starts it, a gateway in front of it, others' servers."""

from __future__ import annotations

import http.client
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import peers
from bench.contenders import weebill_key, weebill_program
from bench.engines.client import Server
from bench.engines.speculating import KEY
from bench.proc import BenchError, Service, free_port
from weebill.config.paths import Home
from weebill.config.schema import EngineSettings, Settings
from weebill.engine.role import EngineBoot, EngineReady
from weebill.models.pull import pull
from weebill.models.sharing import SharedModel
from weebill.models.store import ModelStore, ServedModel
from weebill.process.link import LINK_FD_VARIABLE
from weebill.process.messages import Boot, FromChild, Ready, own

_START_TIMEOUT_S = 120.0
_KEY = "sk-bench-engine"

_CONFIG = """\
[server]
port = {port}

[local]
models = []

[providers.engine]
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "{key}"
models = ["{model}"]
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A server and its process, which may be stopped while others are measured."""

    server: Server
    service: Service


def brought(model: str) -> ServedModel:
    """Returns a model that has been fetched, if need be, into the store of whoever runs the benchmark."""
    home = Home.from_environment()
    home.create()
    return pull(ModelStore.of(Settings().local, home), model).served()


def start_host(folder: Path, model: str, served: ServedModel, engine: EngineSettings, stack: ExitStack) -> Running:
    """Starts an engine host as the supervisor does."""
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
    told = EngineBoot.of(model, SharedModel({model: served}), engine, _KEY)
    boot = Boot(role="engine", home=str(folder), settings=Settings(), own=own(told))
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
    _, _, port = msgspec.json.decode(message.own, type=EngineReady).base_url.rpartition(":")
    return Running(Server("engine", int(port), _KEY, service.pid), service)


def start_gateway(folder: Path, model: str, upstream: Server, stack: ExitStack) -> Running:
    """Starts a Weebill without local models, to which an engine host is a provider."""
    home = folder / "weebill"
    home.mkdir(mode=0o700)
    port = free_port()
    (home / "weebill.toml").write_text(_CONFIG.format(port=port, upstream=upstream.port, key=upstream.key, model=model))
    key = weebill_key(home)
    env = {"WEEBILL_HOME": str(home), **peers.weebill()}
    service = Service([weebill_program(), "serve"], log=home / "log", env=env)
    stack.callback(service.stop)
    _wait("weebill", service, lambda: _listens(port))
    return Running(Server("gateway", port, key, service.pid), service)


def start_llama_cpp_python(
    folder: Path, model: str, served: ServedModel, context: int, stack: ExitStack
) -> tuple[Running, str]:
    """Starts llama-cpp-python's server as it comes, but for a context in which the prompts fit, and with one request
    after the other, where it would break off an answer for the next request; also returns how it was built.
    """
    embeds = served.task == "embed"
    python, build = peers.llama_cpp_python(served.path, embeds=embeds)
    port = free_port()
    options = {
        "--model": str(served.path),
        "--model_alias": model,
        "--host": "127.0.0.1",
        "--port": str(port),
        "--api_key": _KEY,
        "--n_ctx": str(context),
        "--interrupt_requests": "False",
        "--verbose": "False",
        "--embedding": str(embeds),
    }
    words = [word for option in options.items() for word in option]
    service = Service([str(python), "-m", "llama_cpp.server", *words], log=folder / f"{port}.log")
    stack.callback(service.stop)
    _wait("llama-cpp-python", service, lambda: _listens(port))
    return Running(Server("llama-cpp-python", port, _KEY, service.pid), service), build


def start_speculating(folder: Path, served: ServedModel, how: str, stack: ExitStack) -> Running:
    """Starts an engine that guesses (`ngram`) or not (`none`)."""
    port = free_port()
    command = [sys.executable, "-m", "bench.engines.speculating", str(served.path), how, str(port)]
    root = str(Path(__file__).parent.parent.parent)
    service = Service(command, log=folder / f"{how}.log", env={"PYTHONPATH": root})
    stack.callback(service.stop)
    _wait(how, service, lambda: _is_loaded(port))
    return Running(Server(how, port, KEY, service.pid), service)


def _wait(name: str, service: Service, is_ready: Callable[[], bool]) -> None:
    until = time.monotonic() + _START_TIMEOUT_S
    while not is_ready():
        service.check()
        if time.monotonic() > until:
            raise BenchError(f"{name} is not ready after {_START_TIMEOUT_S:.0f} s: {service.log_end()}")
        time.sleep(0.1)


def _is_loaded(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
