"""The cost of limits to a worker: requests of a key with 24 limits at three levels, and of one without.

One Weebill on one core. Short rounds take turns, so that whatever else the machine does hits both alike; what counts is
the median of the ratios of neighbours. The upstream is nginx, and no limit is reached.
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
from bench.admission import KINDS
from bench.contenders import Endpoint, wait_for, weebill_program
from bench.measure import raise_fd_limit
from bench.proc import CONTENDER_CORE, HARNESS_CORE, Service, free_port
from bench.rounds import load_round
from weebill.accounts.audit import command_line
from weebill.accounts.keys import Owner
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.limits.setting import Limits
from weebill.storage.keys import keys_in
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger
from weebill.storage.tenants import tenants_in

_PATH: Final = "/v1/chat/completions"
_MODEL: Final = "gpt-4o-mini"
_FDS: Final = 1000
_CONFIG: Final = """\
[server]
port = {port}
workers = 1

[local]
models = []

[providers.plain]
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "plain"
catalog = "openai"
models = ["{model}"]
"""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round of requests with so many limits. Microseconds; `worker_us` is the gateway worker's part of `cpu_us`."""

    limits: int
    rate: float
    cpu_us: float
    worker_us: float
    p50_us: float


class Limiting(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds, in pairs: without limits, and with all of them."""

    rounds: list[Round]

    def lanes(self) -> tuple[list[Round], list[Round]]:
        """Returns the rounds without limits, and those with them."""
        return [it for it in self.rounds if not it.limits], [it for it in self.rounds if it.limits]

    def more(self, figure: Callable[[Round], float]) -> float:
        """Returns by how much a figure is more with limits: the median over the pairs."""
        return statistics.median(figure(held) / figure(free) for free, held in zip(*self.lanes(), strict=True)) - 1


def measure_limited(
    rounds: int, seconds: float, connections: int, tick: Callable[[], None], *, compiled: bool = True
) -> Limiting:
    """Measures so many rounds of each, `seconds` long; `tick` is called after each. Stops all that it started."""
    os.sched_setaffinity(0, {HARNESS_CORE})
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        upstream, port, fds = free_port(), free_port(), raise_fd_limit(_FDS)
        server = nginx.start(folder / "nginx", [nginx.fixed_answer(upstream)], core=HARNESS_CORE, fds=fds)
        stack.callback(server.stop)
        home = Home(folder / "weebill")
        home.create()
        home.config_file.write_text(_CONFIG.format(port=port, upstream=upstream, model=_MODEL))
        env = {"WEEBILL_HOME": str(home.root), **(peers.weebill() if compiled else {})}
        lanes = {
            limits: Endpoint(port, _PATH, _MODEL, {"authorization": f"Bearer {secret}"})
            for limits, secret in _keys(home).items()
        }
        service = Service([weebill_program(), "serve"], log=folder / "log", core=CONTENDER_CORE, env=env)
        stack.callback(service.stop)
        found = []
        for endpoint in lanes.values():
            wait_for(endpoint, service)
        for number in range(rounds):
            for limits in sorted(lanes, reverse=bool(number % 2)):
                found.append(_round(limits, lanes[limits], service, seconds, connections))
                tick()
    return Limiting(rounds=found)


def limited_table(found: Limiting) -> Table:
    """Returns the medians, the best of the rounds, and by how much neighbours differ."""
    free, held = found.lanes()
    table = Table(
        title="What limits take of a worker", caption=f"median (best) of {len(free)} rounds each, one core for Weebill"
    )
    table.add_column("")
    for column in ("no limits", f"{held[0].limits} at three levels", "more, pair by pair"):
        table.add_column(column, justify="right")
    for title, figure, best in _FIGURES:
        cells = [[figure(it) for it in lane] for lane in (free, held)]
        shown = [f"{statistics.median(cell):,.1f} ({best(cell):,.1f})" for cell in cells]
        table.add_row(title, *shown, f"{found.more(figure):+.1%}")
    return table


def _keys(home: Home) -> dict[int, str]:
    """Makes a key without limits, and one of another organisation with all of them; returns the secrets by the number
    of limits.
    """
    with open_ledger(home, DatabaseSettings()) as ledger:
        keys, tenants, limits = keys_in(ledger, home), tenants_in(ledger, command_line()), Limits(StoredLimits(ledger))
        organisation = tenants.create_organisation("held")
        project = tenants.create_project(organisation.id, "held")
        free, held = keys.create("free"), keys.create("held", owner=Owner(project.id))
        subjects = (held.key.id, project.id, organisation.id)
        for subject in subjects:
            for (measure, window), amount in KINDS.items():
                limits.set(subject, measure, window, amount)
    return {0: free.secret, len(subjects) * len(KINDS): held.secret}


def _round(limits: int, endpoint: Endpoint, service: Service, seconds: float, connections: int) -> Round:
    spent = load_round(endpoint, service, seconds, connections)
    return Round(
        limits=limits,
        rate=spent.result.requests / spent.result.seconds,
        cpu_us=spent.cpu_us,
        worker_us=spent.worker_us,
        p50_us=spent.result.latency.p50,
    )


_FIGURES: Final[tuple[tuple[str, Callable[[Round], float], Callable[[list[float]], float]], ...]] = (
    ("requests/s", lambda it: it.rate, max),
    ("CPU per request, µs", lambda it: it.cpu_us, min),
    ("of which the worker, µs", lambda it: it.worker_us, min),
    ("latency p50, µs", lambda it: it.p50_us, min),
)
