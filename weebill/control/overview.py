"""The state of the installation in the control process, and its forms in the management API."""

from __future__ import annotations

import time
from typing import Literal

import msgspec

from weebill import __version__
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.process.messages import EngineState, ProcessState
from weebill.routing.directory import Directory
from weebill.routing.server_news import Servers
from weebill.routing.servers import Load, names_of
from weebill.routing.servers import Status as ServerStatus
from weebill.telemetry import metrics
from weebill.telemetry.disk import folder_bytes
from weebill.telemetry.exposition import Totals, read_gauge, read_totals


class Model(msgspec.Struct, frozen=True):
    """A model that clients may request; `available` is False while no deployment of it can answer."""

    id: str
    owned_by: str
    available: bool


class Info(msgspec.Struct, frozen=True):
    """The public state. `recording` is False while a worker cannot record usage, and so refuses requests."""

    version: str
    ready: bool
    recording: bool
    models: tuple[Model, ...]


class Engine(msgspec.Struct, frozen=True):
    """A compact model on this machine; `context` is in tokens, 0 while it is not ready."""

    model: str
    ready: bool
    context: int


class WatchedServer(msgspec.Struct, frozen=True):
    """A server for models that is watched; `why` explains a status other than ready, `load` is None if unknown."""

    provider: str
    status: ServerStatus
    why: str
    models: tuple[str, ...]
    load: Load | None


class Status(msgspec.Struct, frozen=True):
    """The state for administrators. Times are Unix seconds."""

    version: str
    started_at: float
    uptime_s: float
    processes: tuple[ProcessState, ...]
    engines: tuple[Engine, ...]
    servers: tuple[WatchedServer, ...]
    journal_bytes: int


class Traffic(msgspec.Struct, frozen=True):
    """Counters over all workers: the first seven only grow, the last two are gauges."""

    requests: int
    failures: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    request_seconds: float
    auth_failures: int
    in_flight: int
    connections: int


class Live(msgspec.Struct, frozen=True):
    """One message of `/api/v1/live`; `at` is Unix time."""

    at: float
    info: Info
    status: Status
    traffic: Traffic
    type: Literal["live"] = "live"


class Overview:
    """The present state, kept up to date from the supervisor's messages."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self.servers = Servers()
        self.engines: tuple[EngineState, ...] = ()
        self.processes: tuple[ProcessState, ...] = ()
        self._started_at = time.time()

    def info(self) -> Info:
        """Returns the public state, without secrets."""
        directory = Directory(self.settings, self.engines, int(self._started_at), servers=self.servers)
        available = directory.available()
        models = tuple(Model(card.id, card.owned_by, available[card.id]) for card in directory.cards())
        recording = all(read_gauge(self.home.counters, metrics.RECORDING))
        return Info(__version__, recording and any(available.values()), recording, models)

    def status(self) -> Status:
        """Returns the state for administrators."""
        return Status(
            version=__version__,
            started_at=self._started_at,
            uptime_s=time.time() - self._started_at,
            processes=self.processes,
            engines=tuple(Engine(one.model, one.base_url is not None, one.context) for one in self.engines),
            servers=tuple(
                WatchedServer(name, each.status, each.why, names_of(each.models), each.load)
                for name, each in sorted(self.servers.states.items())
                if name in self.settings.providers
            ),
            journal_bytes=folder_bytes(self.home.journal),
        )

    def live(self) -> Live:
        """Returns the message that is pushed every second."""
        return Live(time.time(), self.info(), self.status(), _traffic(read_totals(self.home.counters)))


def _traffic(totals: Totals) -> Traffic:
    requests = totals[metrics.REQUESTS.name]
    tokens = dict.fromkeys(metrics.KIND.values, 0)
    for (_, kind), (count,) in totals[metrics.TOKENS.name].items():
        tokens[kind] += count
    return Traffic(
        requests=sum(count for (count,) in requests.values()),
        failures=sum(count for (_, status), (count,) in requests.items() if status >= "500"),
        prompt_tokens=tokens["prompt"],
        cached_tokens=tokens["cached"],
        completion_tokens=tokens["completion"],
        request_seconds=sum(cells[-1] for cells in totals[metrics.REQUEST_SECONDS.name].values()) / 1e6,
        auth_failures=_single(totals, metrics.AUTH_FAILURES),
        in_flight=_single(totals, metrics.IN_FLIGHT),
        connections=_single(totals, metrics.CONNECTIONS),
    )


def _single(totals: Totals, metric: metrics.Metric) -> int:
    """Sums a metric without labels over the workers."""
    return sum(value for (value,) in totals[metric.name].values())
