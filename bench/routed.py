"""What a choice costs: the same Weebill asked for a model that one deployment serves, and for one that three do.

Short rounds take turns, so that whatever else the machine does hits both alike; what counts is the median of the ratios
of neighbours. The deployments are the same nginx, and nothing fails.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table

from bench import nginx, peers
from bench.contenders import Endpoint, wait_for, weebill_key, weebill_program
from bench.measure import raise_fd_limit
from bench.proc import CONTENDER_CORE, HARNESS_CORE, Service, free_port
from bench.rounds import load_round

TARGET: Final = 0.10  # at most so much more
PATH: Final = "/v1/chat/completions"
PROVIDERS: Final = {"alone": "one", "first": "three", "second": "three", "third": "three"}
DEPLOYMENTS: Final = {"one": 1, "three": 3}
FDS: Final = 1000


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round. Microseconds; `worker_us` is the gateway worker's part of `cpu_us`."""

    deployments: int
    requests: int
    cpu_us: float
    worker_us: float
    p50_us: float


class Choosing(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds, in pairs: first with one deployment, then with three."""

    rounds: list[Round]

    def of(self, deployments: int) -> list[Round]:
        return [it for it in self.rounds if it.deployments == deployments]

    def more(self, figure: Callable[[Round], float]) -> float:
        """By how much a figure is more with three: the median over the pairs."""
        ratios = [figure(three) / figure(one) for one, three in zip(self.of(1), self.of(3), strict=True)]
        return statistics.median(ratios) - 1


def measure_routed(rounds: int, seconds: float, connections: int, tick: Callable[[], None]) -> Choosing:
    """`rounds` of each, `seconds` long; `tick` is called after each. Stops all it started."""
    os.sched_setaffinity(0, {HARNESS_CORE})
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        upstream, port, fds = free_port(), free_port(), raise_fd_limit(FDS)
        server = nginx.start(folder / "nginx", [nginx.fixed_answer(upstream)], core=HARNESS_CORE, fds=fds)
        stack.callback(server.stop)
        home = folder / "weebill"
        home.mkdir(mode=0o700)
        (home / "weebill.toml").write_text(_config(port, upstream))
        headers = {"authorization": f"Bearer {weebill_key(home)}"}
        env = {"WEEBILL_HOME": str(home), **peers.weebill()}
        service = Service([weebill_program(), "serve"], log=home / "log", core=CONTENDER_CORE, env=env)
        stack.callback(service.stop)
        endpoints = [Endpoint(port, PATH, model, headers) for model in DEPLOYMENTS]
        for endpoint in endpoints:
            wait_for(endpoint, service)
        found = []
        for number in range(rounds):
            for endpoint in endpoints if number % 2 else endpoints[::-1]:
                found.append(_round(endpoint, service, seconds, connections))
                tick()
    return Choosing(rounds=found)


def _config(port: int, upstream: int) -> str:
    lines = [f"[server]\nport = {port}\nworkers = 1\n[local]\nmodels = []"]
    lines += [
        f'[providers.{name}]\nbase_url = "http://127.0.0.1:{upstream}/v1"\napi_key = "{name}"\nmodels = ["{model}"]'
        for name, model in PROVIDERS.items()
    ]
    return "\n".join(lines)


def _round(endpoint: Endpoint, service: Service, seconds: float, connections: int) -> Round:
    spent = load_round(endpoint, service, seconds, connections)
    return Round(
        deployments=DEPLOYMENTS[endpoint.model],
        requests=spent.result.requests,
        cpu_us=spent.cpu_us,
        worker_us=spent.worker_us,
        p50_us=spent.result.latency.p50,
    )


_FIGURES: Final[dict[str, Callable[[Round], float]]] = {
    "CPU per request, µs": lambda it: it.cpu_us,
    "of which the worker, µs": lambda it: it.worker_us,
    "latency p50, µs": lambda it: it.p50_us,
}


def is_within(found: Choosing) -> bool:
    """Whether a request costs no more than the target allows."""
    return found.more(_FIGURES["CPU per request, µs"]) <= TARGET


def routed_table(found: Choosing) -> Table:
    """The medians, the least of the rounds, and by how much neighbours differ."""
    mark = "✓" if is_within(found) else "✗"
    table = Table(
        title="A choice among three deployments",
        caption=f"median (least) of {len(found.of(1))} rounds each; target: ≤ {TARGET:.0%} more CPU per request {mark}",
    )
    table.add_column("")
    for column in ("one deployment", "three", "more, pair by pair"):
        table.add_column(column, justify="right")
    for title, figure in _FIGURES.items():
        cells = [[figure(it) for it in found.of(deployments)] for deployments in DEPLOYMENTS.values()]
        shown = [f"{statistics.median(cell):.1f} ({min(cell):.1f})" for cell in cells]
        table.add_row(title, *shown, f"{found.more(figure):+.1%}")
    return table
