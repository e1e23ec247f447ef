"""Who is measured, and how each is started: a process, its ports, its key and its model names."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

import weebill
from bench import nginx, peers, proxies
from bench.http import chat_request, completion_text
from bench.proc import CONTENDER_CORE, HARNESS_CORE, BenchError, Service, free_port
from bench.upstream import REPLY_TEXT, Ask

_START_TIMEOUT_S = 120.0
_UPSTREAM_KEY = "sk-upstream"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where chat completions are asked for, and how."""

    port: int
    path: str
    model: str
    headers: dict[str, str]

    def request(self, ask: Ask | None = None, *, stream: bool = False) -> bytes:
        text = ask.text() if ask else ""
        return chat_request(
            port=self.port, path=self.path, model=self.model, headers=self.headers, ask=text, stream=stream
        )


@dataclass(frozen=True, slots=True)
class Upstreams:
    """What the contenders are put in front of: `plain` is nginx, `stream` is bench/upstream.py."""

    plain: int
    stream: int
    services: tuple[Service, ...]

    @property
    def pids(self) -> list[int]:
        return [service.pid for service in self.services]


@dataclass(frozen=True, slots=True)
class Contender:
    """One that is up. `service` is None for the upstream itself."""

    name: str
    version: str
    plain: Endpoint
    stream: Endpoint
    service: Service | None


Started = Callable[[Service], None]  # told of every process at once, so that none is left behind
Starter = Callable[[Path, Upstreams, int, Started], Contender]


def start_upstreams(folder: Path, fds: int, started: Started) -> Upstreams:
    plain, stream = free_port(), free_port()
    servers = nginx.start(folder / "upstream-nginx", [nginx.fixed_answer(plain)], core=HARNESS_CORE, fds=fds)
    started(servers)
    streams = Service(
        [sys.executable, "-m", "bench.upstream", str(stream)],
        log=folder / "upstream.log",
        core=HARNESS_CORE,
        env={"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    started(streams)
    for port, service in ((plain, servers), (stream, streams)):
        wait_for(Endpoint(port, "/v1/chat/completions", "bench", {}), service)
    return Upstreams(plain, stream, (servers, streams))


def _direct(folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    path = "/v1/chat/completions"
    return Contender(
        "direct",
        nginx.version(),
        Endpoint(upstreams.plain, path, "bench", {}),
        Endpoint(upstreams.stream, path, "bench", {}),
        None,
    )


def _nginx(folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    plain, stream = free_port(), free_port()
    servers = [
        nginx.proxy(plain, upstreams.plain, buffering=True),
        nginx.proxy(stream, upstreams.stream, buffering=False),
    ]
    service = nginx.start(folder / "nginx", servers, core=CONTENDER_CORE, fds=fds)
    started(service)
    path = "/v1/chat/completions"
    return Contender(
        "nginx", nginx.version(), Endpoint(plain, path, "bench", {}), Endpoint(stream, path, "bench", {}), service
    )


def _envoy(folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    command = [str(peers.envoy()), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"]
    return _proxy("envoy", peers.ENVOY_VERSION, command, {}, proxies.envoy, folder, upstreams, started)


def _caddy(folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    home = str(folder / "caddy")
    env = {"GOMAXPROCS": "1", "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}
    command = [str(peers.caddy()), "run", "--config"]
    return _proxy("caddy", peers.CADDY_VERSION, command, env, proxies.caddy, folder, upstreams, started)


def _proxy(
    name: str,
    version: str,
    command: list[str],
    env: dict[str, str],
    configure: Callable[[dict[int, int]], proxies.Json],
    folder: Path,
    upstreams: Upstreams,
    started: Started,
) -> Contender:
    """A reverse proxy whose `command` takes the path of its configuration last."""
    plain, stream = free_port(), free_port()
    home = folder / name
    home.mkdir()
    config = home / "config.json"
    config.write_bytes(msgspec.json.encode(configure({plain: upstreams.plain, stream: upstreams.stream})))
    service = Service([*command, str(config)], log=home / "log", core=CONTENDER_CORE, env=env)
    started(service)
    path = "/v1/chat/completions"
    return Contender(name, version, Endpoint(plain, path, "bench", {}), Endpoint(stream, path, "bench", {}), service)


_WEEBILL_CONFIG = """\
[server]
port = {port}
workers = 1

[local]
models = []

[providers.plain]
base_url = "http://127.0.0.1:{plain}/v1"
api_key = "{key}"
models = ["bench"]

[providers.stream]
base_url = "http://127.0.0.1:{stream}/v1"
api_key = "{key}"
models = ["bench"]
max_connections = 16384
"""


def weebill_program() -> str:
    """The `weebill` of this Python's environment."""
    program = Path(sys.executable).parent / "weebill"
    if not program.is_file():
        raise BenchError("weebill is not installed in this environment; run: make bench")
    return str(program)


def weebill_key(home: Path, env: Mapping[str, str] | None = None) -> str:
    """A new API key of the installation in `home`, made by the Weebill of the environment `env`."""
    return weebill_says(home, "keys", "create", "bench", "--quiet", env=env)


def weebill_says(home: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """The output of a command of the Weebill of the environment `env`, for the installation in `home`."""
    given = {**os.environ, "WEEBILL_HOME": str(home), **(env or {})}
    command = [weebill_program(), *words]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(words)} failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def _weebill(folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    return _weebill_in("weebill", peers.weebill(), folder, upstreams, started)


def _interpreted(folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    return _weebill_in("interpreted", {}, folder, upstreams, started)


def beside(name: str, folder: Path) -> Starter:
    """Returns the starter of another build of Weebill, whose package lies in `folder`."""

    def start_it(home: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
        return _weebill_in(name, {"PYTHONPATH": str(folder)}, home, upstreams, started)

    return start_it


def _weebill_in(name: str, env: dict[str, str], folder: Path, upstreams: Upstreams, started: Started) -> Contender:
    home = folder / name
    home.mkdir(mode=0o700)
    port = free_port()
    (home / "weebill.toml").write_text(
        _WEEBILL_CONFIG.format(port=port, plain=upstreams.plain, stream=upstreams.stream, key=_UPSTREAM_KEY)
    )
    headers = {"authorization": f"Bearer {weebill_key(home, env)}"}
    service = Service(
        [weebill_program(), "serve"], log=home / "log", core=CONTENDER_CORE, env={"WEEBILL_HOME": str(home), **env}
    )
    started(service)
    path = "/v1/chat/completions"
    return Contender(
        name,
        weebill.__version__,
        Endpoint(port, path, "plain/bench", headers),
        Endpoint(port, path, "stream/bench", headers),
        service,
    )


# One address for each of ferrogw's providers, so the model tells which of two is asked; the names are in its catalogue.
_FERROGW_CONFIG: Final = {
    "strategy": {
        "mode": "conditional",
        "conditions": [{"key": "model", "value": "deepseek-chat", "target_key": "deepseek"}],
    },
    "targets": [{"virtual_key": "openai"}, {"virtual_key": "deepseek"}],
}


def _ferrogw(folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    program = peers.ferrogw()
    port, key = free_port(), f"fgw_{secrets.token_hex(16)}"  # it listens on all addresses: there is no option
    home = folder / "ferrogw"
    home.mkdir()
    (home / "config.yaml").write_bytes(msgspec.json.encode(_FERROGW_CONFIG))  # JSON is YAML
    env = {
        "GATEWAY_CONFIG": "config.yaml",
        "PORT": str(port),
        "MASTER_KEY": key,
        "OPENAI_API_KEY": _UPSTREAM_KEY,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstreams.plain}/v1",
        "DEEPSEEK_API_KEY": _UPSTREAM_KEY,
        "DEEPSEEK_BASE_URL": f"http://127.0.0.1:{upstreams.stream}/v1",
        "GOMAXPROCS": "1",
        "LOG_LEVEL": "error",
        "FERRO_MODEL_CATALOG_TIMEOUT": "0",  # the catalogue that it carries, not one from the network
        "RATE_LIMIT_RPS": "1000000000",
        "RATE_LIMIT_BURST": "1000000000",
    }
    service = Service([str(program), "serve"], log=home / "log", core=CONTENDER_CORE, env=env)
    started(service)
    path, headers = "/v1/chat/completions", {"authorization": f"Bearer {key}"}
    return Contender(
        "ferrogw",
        peers.FERROGW_VERSION,
        Endpoint(port, path, "gpt-4o-mini", headers),
        Endpoint(port, path, "deepseek-chat", headers),
        service,
    )


def _litellm(folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    program = peers.litellm()
    port, key = free_port(), "sk-bench"
    home = folder / "litellm"
    home.mkdir()
    config = {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {
                    "model": "openai/bench",
                    "api_base": f"http://127.0.0.1:{upstream}/v1",
                    "api_key": _UPSTREAM_KEY,
                },
            }
            for name, upstream in (("plain", upstreams.plain), ("stream", upstreams.stream))
        ],
        "general_settings": {"master_key": key},
    }
    (home / "config.yaml").write_bytes(msgspec.json.encode(config))  # JSON is YAML
    command = [str(program), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    service = Service(
        [*command, "--num_workers", "1", "--telemetry", "False"],
        log=home / "log",
        core=CONTENDER_CORE,
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"},
    )
    started(service)
    path, headers = "/v1/chat/completions", {"authorization": f"Bearer {key}"}
    return Contender(
        "litellm",
        peers.LITELLM_VERSION,
        Endpoint(port, path, "plain", headers),
        Endpoint(port, path, "stream", headers),
        service,
    )


def _portkey(folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    command = peers.portkey()
    port = free_port()
    home = folder / "portkey"
    home.mkdir()
    service = Service(
        [*command, f"--port={port}"], log=home / "log", core=CONTENDER_CORE, env={"NODE_ENV": "production"}
    )
    started(service)

    def endpoint(upstream: int) -> Endpoint:
        headers = {
            "authorization": f"Bearer {_UPSTREAM_KEY}",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
        }
        return Endpoint(port, "/v1/chat/completions", "bench", headers)

    return Contender("portkey", peers.PORTKEY_VERSION, endpoint(upstreams.plain), endpoint(upstreams.stream), service)


# In the order in which they are measured and shown.
STARTERS: dict[str, Starter] = {
    "direct": _direct,
    "nginx": _nginx,
    "envoy": _envoy,
    "caddy": _caddy,
    "weebill": _weebill,
    "interpreted": _interpreted,
    "ferrogw": _ferrogw,
    "litellm": _litellm,
    "portkey": _portkey,
}


def start(starter: Starter, folder: Path, upstreams: Upstreams, fds: int, started: Started) -> Contender:
    """Start a contender and wait until both its endpoints answer rightly. BenchError says why they do not."""
    contender = starter(folder, upstreams, fds, started)
    if contender.service:
        for endpoint in (contender.plain, contender.stream):
            wait_for(endpoint, contender.service)
    return contender


def wait_for(endpoint: Endpoint, service: Service) -> None:
    until = time.monotonic() + _START_TIMEOUT_S
    while fault := _fault(endpoint):
        service.check()
        if time.monotonic() > until:
            raise BenchError(f"not ready after {_START_TIMEOUT_S:.0f} s: {fault}; {service.log_end()}")
        time.sleep(0.2)


def _fault(endpoint: Endpoint) -> str:
    """What is wrong with one answer of the endpoint; empty if nothing is."""
    head, _, body = endpoint.request().partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    url = f"http://127.0.0.1:{endpoint.port}{endpoint.path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
            text = completion_text(answer.read())
    except urllib.error.HTTPError as error:
        return f"status {error.code}: {error.read(300).decode(errors='replace')}"
    except (OSError, msgspec.MsgspecError) as error:
        return str(error)
    return "" if text == REPLY_TEXT else f"wrong content: {text[:200]}"
