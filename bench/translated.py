"""Weebill and LiteLLM in front of upstreams of other dialects, asked in OpenAI's: requests a second on one core."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table

from bench import nginx, peers
from bench.contenders import Endpoint, wait_for, weebill_key, weebill_program
from bench.load import Load, LoadResult
from bench.measure import generate, raise_fd_limit
from bench.proc import CONTENDER_CORE, HARNESS_CORE, BenchError, Service, cpu_seconds, free_port, tree
from bench.upstream import REPLY_TEXT

_CONNECTIONS: Final = 64
_PATH: Final = "/v1/chat/completions"
_KEY: Final = "sk-upstream"
_ANSWERS: Final = {
    "anthropic": msgspec.json.encode(
        {
            "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": REPLY_TEXT}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 56, "output_tokens": 44},
        }
    ),
    "gemini": msgspec.json.encode(
        {
            "candidates": [
                {"content": {"parts": [{"text": REPLY_TEXT}], "role": "model"}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": {"promptTokenCount": 56, "candidatesTokenCount": 44, "totalTokenCount": 100},
            "modelVersion": "gemini-2.5-flash", "responseId": "r1",
        }
    ),
}  # fmt: skip
_MODELS: Final = {"anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}
_BASES: Final = {"anthropic": "http://127.0.0.1:{port}/v1", "gemini": "http://127.0.0.1:{port}/v1beta"}


class Translated(msgspec.Struct, frozen=True):
    """One contender in front of one dialect; `cpu_us` is microseconds for a request."""

    contender: str
    dialect: str
    requests_per_s: float
    cpu_us: float
    p50_ms: float


def measure_translated(seconds: float, step: Callable[[str], None]) -> list[Translated]:
    """Both contenders in front of each dialect, 64 connections, each on a core of its own.

    Raises BenchError if an answer is wrong.
    """
    os.sched_setaffinity(0, {HARNESS_CORE})  # and so the load generator's
    found = []
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        fds = raise_fd_limit(4096)
        ports = {dialect: free_port() for dialect in _ANSWERS}
        servers = [nginx.fixed_answer(port, _ANSWERS[dialect]) for dialect, port in ports.items()]
        upstream = nginx.start(folder / "upstream", servers, core=HARNESS_CORE, fds=fds)
        stack.callback(upstream.stop)
        for contender, start in (("weebill", _weebill), ("litellm", _litellm)):
            step(f"starting {contender}")
            service, port, key = start(folder, ports)
            stack.callback(service.stop)
            for dialect, model in _MODELS.items():
                headers = {"authorization": f"Bearer {key}"}
                endpoint = Endpoint(port, _PATH, f"bench-{dialect}" if contender == "litellm" else model, headers)
                wait_for(endpoint, service)
                step(f"{dialect} · {contender}")
                found.append(_measure(contender, dialect, endpoint, service, seconds))
            service.stop()
    return found


def _measure(contender: str, dialect: str, endpoint: Endpoint, service: Service, seconds: float) -> Translated:
    load = Load(
        port=endpoint.port, request=endpoint.request(), content=REPLY_TEXT, connections=_CONNECTIONS,
        warmup_s=1.0, seconds=seconds,
    )  # fmt: skip
    time.sleep(0.5)
    before = cpu_seconds(tree(service.pid))
    result = generate("bench.load", load, LoadResult)
    spent = cpu_seconds(tree(service.pid)) - before
    if result.errors:
        raise BenchError(f"{contender} in front of {dialect}: {result.errors} errors: {result.first_error}")
    return Translated(
        contender, dialect, result.requests / result.seconds, spent / max(1, result.total) * 1e6,
        result.latency.p50 / 1000,
    )  # fmt: skip


def _weebill(folder: Path, ports: dict[str, int]) -> tuple[Service, int, str]:
    home = folder / "weebill"
    home.mkdir(mode=0o700)
    port = free_port()
    lines = [f"[server]\nport = {port}\n\n[local]\nmodels = []\n"]
    for dialect, upstream in ports.items():
        base = _BASES[dialect].format(port=upstream)
        lines.append(
            f'[providers.{dialect}]\nbase_url = "{base}"\napi_key = "{_KEY}"\nmodels = ["{_MODELS[dialect]}"]\n'
        )
    (home / "weebill.toml").write_text("\n".join(lines))
    key = weebill_key(home)
    env = {"WEEBILL_HOME": str(home), **peers.weebill()}
    service = Service([weebill_program(), "serve"], log=home / "log", core=CONTENDER_CORE, env=env)
    return service, port, key


def _litellm(folder: Path, ports: dict[str, int]) -> tuple[Service, int, str]:
    program = peers.litellm()
    port, key = free_port(), "sk-bench"
    home = folder / "litellm"
    home.mkdir()
    models = [
        {
            "model_name": f"bench-{dialect}",
            "litellm_params": {
                "model": f"{dialect}/{_MODELS[dialect]}",
                "api_base": f"http://127.0.0.1:{upstream}",
                "api_key": _KEY,
            },
        }
        for dialect, upstream in ports.items()
    ]
    config = {"model_list": models, "general_settings": {"master_key": key}}
    (home / "config.yaml").write_bytes(msgspec.json.encode(config))  # JSON is YAML
    command = [str(program), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    service = Service(
        [*command, "--num_workers", "1", "--telemetry", "False"],
        log=home / "log",
        core=CONTENDER_CORE,
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"},
    )
    return service, port, key


def translated_table(found: list[Translated]) -> Table:
    """A row for each."""
    table = Table(title="OpenAI in, another dialect out, 64 connections, one core")
    for column in ("upstream", "gateway", "requests/s", "CPU per request, µs", "p50, ms"):
        table.add_column(column, justify="right" if "," in column or "/" in column else "left")
    for each in sorted(found, key=lambda each: each.dialect):
        table.add_row(
            each.dialect, each.contender, f"{each.requests_per_s:,.0f}", f"{each.cpu_us:,.0f}", f"{each.p50_ms:,.1f}"
        )
    return table
