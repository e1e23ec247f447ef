"""Watches one server: asks for its models, its health and its metrics, again and again.

The interval grows while a server does not answer, up to a bound, so that one that is gone costs little. The questions
have timeouts, the answers a most length, and one that merely comes late is no reason to give a server up at once: a
busy one answers late.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from weebill.catalog.schema import Provider, Server
from weebill.config.schema import DiscoverySettings, ProviderSettings
from weebill.discovery.answers import Answer, Judgement, judged
from weebill.discovery.metrics import load_of
from weebill.routing.deployments import Upstream, provider_upstream
from weebill.routing.listed_models import MOST_BYTES, models_in
from weebill.routing.servers import Load, ServedModel, ServerState
from weebill.transport.client import Client, PoolFull, Timeouts, UpstreamError, UpstreamTimeout

_MOST_INTERVAL_S: Final = 10.0
_LATE_ANSWERS: Final = 3
# Between two questions that have the model generate.
_GENERATING_INTERVAL_S: Final = 30.0
_MODELS: Final = "/models"
_API: Final = "/v1"

log = logging.getLogger(__name__)


class Watch:
    """The watch over the server of the provider `name`; `put` takes each state, and returns True if it is news."""

    def __init__(
        self,
        name: str,
        provider: ProviderSettings,
        row: Provider | None,
        server: Server,
        settings: DiscoverySettings,
        client: Client,
        put: Callable[[ServerState], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._upstream: Upstream = provider_upstream(name, provider, row)
        self.server = server
        self._settings = settings
        self._client = client
        self._put = put
        self._clock = clock
        self._late = 0
        self._failures = 0
        self._last = ServerState(provider=name, status="unknown", why="it has not been asked yet")
        self._health_at = -_GENERATING_INTERVAL_S

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # whatever it is, the other servers are watched by the same process
                log.exception("a server cannot be examined", extra={"upstream": self._name})
                self._failures += 1
            await asyncio.sleep(self.interval_s)

    @property
    def interval_s(self) -> float:
        """The seconds until the next look."""
        settled = self._settings.interval_s
        return max(settled, min(_MOST_INTERVAL_S, settled * 2.0 ** min(self._failures, 16)))

    async def look(self) -> ServerState:
        """Examines the server once, and hands on its state."""
        models = await self._get(self._path(_MODELS), self._settings.timeout_s)
        health = await self._health() if models.status else None
        found = judged(health, models)
        load = await self._load() if found.status in ("ready", "unknown") and models.status else None
        state = self._state(found, models, health, load)
        self._failures = 0 if state.status in ("ready", "unknown") else self._failures + 1
        if self._put(state) and (state.status, state.why) != (self._last.status, self._last.why):
            _tell(state)
        self._last = state
        return state

    def _state(self, found: Judgement, models: Answer, health: Answer | None, load: Load | None) -> ServerState:
        late = models.late or (health is not None and health.late)
        self._late = self._late + 1 if late else 0
        if late and self._late < _LATE_ANSWERS and self._last.status == "ready":
            # It is given the benefit of the doubt, but its load is not what it was.
            return ServerState(provider=self._name, status="ready", models=self._last.models)
        listed: tuple[ServedModel, ...] | None = models_in(models.body) if models.status == 200 else None
        return ServerState(
            provider=self._name,
            status=found.status,
            why=found.why,
            # The names that it had stay known while it is away, so that requests for them are told what is the matter.
            models=self._last.models if listed is None else listed,
            load=load,
        )

    async def _health(self) -> Answer | None:
        """Returns the answer to the question for health; None if it is not due."""
        if not self.server.generates_health:
            return await self._get(self._root(self.server.health), self._settings.timeout_s)
        now = self._clock()
        if self._last.status == "ready" and now - self._health_at < _GENERATING_INTERVAL_S:
            return None
        answer = await self._get(self._root(self.server.health), self._settings.timeout_s)
        # After a late answer it is asked at the next look again, until it is clear whether it was late only once.
        self._health_at = -_GENERATING_INTERVAL_S if answer.late else now
        return answer

    async def _load(self) -> Load | None:
        answer = await self._get(self._root(self.server.metrics), self._settings.timeout_s)
        return load_of(answer.body.decode("utf-8", "replace"), self.server) if answer.status == 200 else None

    def _path(self, path: str) -> bytes:
        return self._upstream.path + path.encode()

    def _root(self, path: str) -> bytes:
        """Returns a path below the server's root, which may itself be below a path."""
        return self._upstream.path.removesuffix(_API.encode()) + path.encode()

    async def post(self, path: str, body: bytes, timeout_s: float) -> Answer:
        """Sends JSON to a path below the server's root; the answer has its body whatever its status."""
        return await self._ask(b"POST", self._root(path), b"content-type: application/json\r\n", body, timeout_s)

    async def _get(self, path: bytes, timeout_s: float) -> Answer:
        return await self._ask(b"GET", path, b"", b"", timeout_s)

    async def _ask(self, method: bytes, path: bytes, headers: bytes, body: bytes, timeout_s: float) -> Answer:
        lines = self._upstream.credentials[0].lines
        timeouts = Timeouts(connect=timeout_s, first_byte=timeout_s, idle=timeout_s, total=timeout_s)
        try:
            head = b"%b %b HTTP/1.1\r\n%b%b" % (method, path, lines, headers)
            response = await self._client.send(self._upstream.origin, head, body, timeouts)
            try:
                said = await response.read(MOST_BYTES)
            finally:
                response.close()
        except (UpstreamTimeout, PoolFull):
            return Answer(0, lost="it does not answer in time", late=True)
        except UpstreamError as error:
            return Answer(0, lost=error.public_message)
        return Answer(response.status, said)


def _tell(state: ServerState) -> None:
    """Logs a change of status."""
    more = {"upstream": state.provider, "models": len(state.models)}
    if state.status == "ready":
        log.info("a server serves", extra=more)
    else:
        log.warning("a server is %s: %s", state.status, state.why, extra=more)
