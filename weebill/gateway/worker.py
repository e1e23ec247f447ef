"""A gateway worker: one event loop that serves the inherited sockets until its supervisor has it drain."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from msgspec import Raw

from weebill.accounts.api_key import TOPIC as KEYS
from weebill.accounts.keyring import KeyRing
from weebill.accounts.pepper import read_pepper
from weebill.accounts.provider_keys import TOPIC as PROVIDER_KEYS
from weebill.auto.experiments import TOPIC as EXPERIMENTS
from weebill.auto.experiments import Experiments
from weebill.auto.learning import TOPIC as LEARNER
from weebill.auto.learning import Lessons
from weebill.cache.answers import AnswerCache
from weebill.catalog.load import Catalogue, load
from weebill.catalog.overlay import OverlayError
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.gateway.api_formats import refusing
from weebill.gateway.app import App
from weebill.gateway.audits import Audits
from weebill.gateway.authentication import Authenticator
from weebill.gateway.feedback import Ratings
from weebill.gateway.lag import LoopLag
from weebill.gateway.limiter import Limiter
from weebill.gateway.memory import give_memory_back
from weebill.gateway.off_loop import give_way_soon
from weebill.gateway.pipelines import pipelines
from weebill.gateway.provider_keys import KeptProviderKeys
from weebill.gateway.ready_made import embedder, prepare
from weebill.gateway.recorder import Recorder
from weebill.gateway.refused_keys import KeyReporter
from weebill.gateway.responses import KeptResponses, ResponseState
from weebill.gateway.role import WorkerBoot
from weebill.gateway.selection import Selector
from weebill.gateway.servers import ServerWatch
from weebill.gateway.shadows import Shadows
from weebill.gateway.thresholds import ThresholdGauges
from weebill.gateway.upstreams import Upstreams
from weebill.limits.book import Book
from weebill.limits.questions import TOPIC as ALLOWANCES
from weebill.process import logs
from weebill.process.beats import next_beat
from weebill.process.link import Link
from weebill.process.messages import Boot, Drain, Engines, EngineState, Failed, Kept, Ping, Pong, Ready, Reload, Turn
from weebill.process.questions import TIMEOUT_S, Followed, Questions
from weebill.routing.directory import Directory
from weebill.routing.notices import HealthNotice
from weebill.routing.own_keys import Routers
from weebill.routing.router import Router
from weebill.routing.servers import has_servers, watched
from weebill.routing.shared import SharedHealth
from weebill.shared.redis import Redis
from weebill.telemetry.counters import Counters
from weebill.telemetry.exposition import expose
from weebill.transport.client import Client
from weebill.transport.server import Server
from weebill.transport.tunnel import Tunnel
from weebill.usage.journal import JournalWriter, sync
from weebill.wire.responses_store import RemoteResponseStore

_UPKEEP_INTERVAL_S: Final = 0.5
_FIRST_NEWS_S: Final = 2.0  # limit of each wait for the first message of another process
_CONVERSATION_S: Final = 20.0  # limit of the wait for a stored response, behind others that may be long
_COUNT_INTERVAL_S: Final = 0.02  # between two updates of the metrics
_SYNC_INTERVAL_S: Final = 1.0  # between two syncs of the journal
_KEY_REPORT_INTERVAL_S: Final = 2.0  # between two reports of providers' keys

log = logging.getLogger(__name__)


class Worker:
    """The parts of a worker process. Raises LedgerError or OSError if one cannot be set up."""

    def __init__(self, boot: Boot, index: int) -> None:
        home = Home(Path(boot.home))
        self._name = f"worker-{index}"
        self._settings = self._configured = boot.settings
        self._overlay = home.catalogue
        self._engines: tuple[EngineState, ...] = next((each.engines for each in boot.told if type(each) is Engines), ())
        prepare(boot.settings)
        pepper = read_pepper(home.pepper)
        self._redis = None if boot.settings.redis.url is None else Redis(boot.settings.redis.url)
        self._cache = AnswerCache(boot.settings.cache, pepper, self._redis, lambda text: embedder()(text))
        self._shared = SharedHealth(HealthNotice, home.health, self._name, self._redis)
        self._created = int(home.pepper.stat().st_mtime)
        self._journal = JournalWriter(home.journal, index, boot.settings.metering, boot.settings.server.workers)
        self._counters = Counters(
            home.counters, index, partial(asyncio.get_running_loop().call_later, _COUNT_INTERVAL_S)
        )
        self._client = Client()
        self._experiments = Experiments()
        followed: dict[str, Followed] = {EXPERIMENTS: self._experiments}
        self._questions = Questions(home.ledger_socket, followed)
        self._keyring = followed[KEYS] = KeyRing(pepper, self._ask_about_key, boot.settings.database.grace_s)
        self._book = followed[ALLOWANCES] = Book(
            self._journal.name, self._questions.ask, self._journal.intents.make_room
        )
        self._provider_keys = followed[PROVIDER_KEYS] = KeptProviderKeys(self._questions.ask)
        # On a connection of their own: conversations are long, and keys must not wait for them.
        self._conversations = Questions(home.ledger_socket)
        lessons = Lessons()
        self._learner = Questions(home.learner_socket, {LEARNER: lessons})
        self._audits = Audits(lessons, self._learner.ask, Random())  # noqa: S311 - no secrets
        authenticator = Authenticator(self._keyring, self._counters)
        recorder = Recorder(self._journal, self._counters)
        state = ResponseState(RemoteResponseStore(partial(self._conversations.ask, timeout_s=_CONVERSATION_S)))
        self._servers = ServerWatch(home.discovery_socket)
        self._router = Router(boot.settings.routing, self._directory(), Random())  # noqa: S311 - no secrets
        self._upstreams = upstreams = Upstreams(
            self._client,
            self._router,
            boot.settings.server,
            Limiter(self._book),
            boot.settings.limits,
            index,
            boot.settings.local,
        )
        upstreams.routers = Routers(self._router, boot.settings.routing, knows=False)
        for told in boot.told:
            if type(told) is Kept:
                upstreams.warming.hear_kept(told)
        self._keys = KeyReporter(self._counters.refused_keys)
        self._selector = Selector(self._router, self._experiments, home.router, home.profiles, self._audits)
        self._selector.configure(boot.settings.autos)
        self._thresholds = ThresholdGauges(self._counters.auto_threshold)
        self._experiments.on_change = self._selector.refresh
        self._provider_keys.on_change = self._take_provider_keys
        self._selector.refresh()
        self._shadows = Shadows()
        self._tunnel = Tunnel(self._client, str(home.control_socket))
        self._lag = LoopLag(self._counters, lambda: self._server.active, boot.settings.server.loop_lag_step_s)
        # On a connection of their own, so that reports do not wait behind clients' ratings.
        self._ratings = Questions(home.learner_socket)
        ratings = Ratings(authenticator, recorder, self._ratings.ask, lambda: bool(self._settings.autos))
        stages = pipelines(
            authenticator, recorder, upstreams, self._selector, self._shadows, self._audits, ratings, self._cache, state
        )
        self._app = App(
            stages,
            authenticator,
            recorder,
            upstreams,
            KeptResponses(authenticator, state),
            ratings,
            self._tunnel,
            self._lag,
            lambda: self._exposition(home),
        )
        self._server = Server(self._app, boot.settings.server, refusing)
        self._drained = asyncio.Event()
        self._reloads: asyncio.Queue[Settings] = asyncio.Queue(1)
        # The supervisor sends a second, shorter Drain if it is to stop sooner.
        self._drains: list[asyncio.Task[None]] = []

    async def run(self, link: Link, sockets: Iterable[socket.socket]) -> None:
        """Serves until it has drained; returns at once if the supervisor is gone."""
        self._upstreams.warming.follow(link.send)
        self._upstreams.turns.follow(link.send)
        self._questions.start()
        self._follow_services()
        # So that the first requests do not find models unknown that servers list.
        servers = [name for name, _, _ in watched(self._settings, load())]
        await self._servers.wait(servers, _FIRST_NEWS_S)
        await self._server.listen(sockets)
        self._lag.start()
        tasks = [
            asyncio.create_task(self._keep_up()),
            asyncio.create_task(self._sync_journal()),
            asyncio.create_task(self._report_provider_keys()),
            asyncio.create_task(self._shared.run(self._notices, self._hear)),
            asyncio.create_task(self._follow(link)),
            asyncio.create_task(self._reload()),
            asyncio.create_task(self._drained.wait()),
        ]
        # So that the first request rarely waits. Without the ledger, requests are answered with the error.
        await self._keyring.wait(_FIRST_NEWS_S)
        link.send(Ready())
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in ended:
                each.result()
        finally:
            for task in tasks:
                task.cancel()
            await self._shadows.close()
            if self._drained.is_set():  # else there is no learner either
                await self._audits.close()
            await self._upstreams.images.close()
            if self._redis is not None:
                await self._redis.close()
            self._close()

    async def _follow(self, link: Link) -> None:
        """Handles the supervisor's messages, also while draining: it may shorten the drain, or be gone."""
        async for message in link:
            match message:
                case Ping():
                    link.send(Pong(ready=self._app.ready))
                case Reload(settings=settings):
                    if self._reloads.full():
                        self._reloads.get_nowait()  # only the newest settings count
                    self._reloads.put_nowait(settings)
                case Engines(engines=engines):
                    self._engines = engines
                    self._rename()
                    self._upstreams.warming.hear(engines)
                case Kept():
                    self._upstreams.warming.hear_kept(message)
                case Turn():
                    self._upstreams.turns.hear(message)
                case Drain(grace_s=grace_s):
                    self._drains.append(asyncio.create_task(self._drain(grace_s)))
                case _:
                    log.warning("the supervisor sent a message that is not for a worker")

    async def _drain(self, grace_s: float) -> None:
        self._app.draining = True
        await self._server.drain(grace_s)
        self._drained.set()

    async def _reload(self) -> None:
        """Applies the newest settings, again and again, in a task that does not delay answers to the supervisor."""
        while True:
            await self._apply(await self._reloads.get())

    async def _apply(self, settings: Settings) -> None:
        """Applies reloaded settings; requests under way keep the old ones."""
        self._configured = settings
        settings = self._settings = self._provider_keys.of_installation(settings)
        logs.configure(settings.log, self._name)
        self._router.configure(settings.routing, self._directory())
        self._upstreams.routers.configure(settings.routing)
        self._follow_projects()
        self._upstreams.configure(settings.server, settings.limits, settings.local)
        await asyncio.to_thread(prepare, settings)
        self._cache.update(settings.cache)
        self._lag.step_s = settings.server.loop_lag_step_s
        # In a thread: loading the learned router takes a moment, in which no request must wait.
        await asyncio.to_thread(self._selector.configure, settings.autos)
        self._follow_services()
        try:
            self._server.update(settings.server)
        except OSError as error:
            # The supervisor has checked the certificate, but the files may have changed since.
            log.error("server settings are not taken over, the certificate cannot be loaded: %s", error)

    def _follow_services(self) -> None:
        """Follows the processes that run only if the settings need them, once they do."""
        if self._settings.autos:
            self._learner.start()
        if has_servers(self._settings):
            self._servers.start(self._router, self._rename)

    def _rename(self) -> None:
        """Applies a change of the models that can be had."""
        self._router.follow(self._directory())
        self._follow_projects()

    async def _ask_about_key(self, topic: str, question: object) -> Raw:
        """Asks whose a key is; returns once it is also known which providers' keys its requests may be sent with."""
        answer = await self._questions.ask(topic, question)
        await self._provider_keys.wait(TIMEOUT_S)
        return answer

    def _take_provider_keys(self) -> None:
        """Applies other keys of providers that were given through the API."""
        self._settings = self._provider_keys.of_installation(self._configured)
        self._rename()

    def _follow_projects(self) -> None:
        """Has projects that have keys of their own use them, for the models that can be had."""
        self._provider_keys.apply(self._settings, self._upstreams, self._names, self._catalogue())

    def _directory(self) -> Directory:
        return self._names(self._settings)

    def _names(self, settings: Settings) -> Directory:
        return Directory(settings, self._engines, self._created, self._catalogue(), self._servers.servers)

    def _catalogue(self) -> Catalogue:
        try:
            return load(self._overlay)
        except OverlayError as error:
            log.error("the package's own prices are used: %s", error)
            return load()

    async def _keep_up(self) -> None:
        """Updates the state that changes with time, and the gauges of the metrics."""
        while True:
            await next_beat(_UPKEEP_INTERVAL_S)
            self._lag.tell()
            self._keyring.settle()
            self._book.tend(time.time(), heard=self._keyring.hears)
            self._upstreams.warming.tell()
            self._selector.refresh()
            self._servers.settle()
            now = time.monotonic()
            self._router.health.settle(now)
            self._upstreams.routers.settle(now)
            self._keys.report(self._router.health, now)
            self._thresholds.tell(self._selector.thresholds)
            # Requests of observers, such as the status page, do not count.
            self._counters.in_flight.set(self._server.active - self._tunnel.relaying)
            self._counters.connections.set(self._server.connections)
            self._counters.recording.set(int(self._journal.writable()))

    async def _sync_journal(self) -> None:
        """Writes the journal to the disk every second or two, in a thread, as the event loop must not wait for it."""
        while True:
            await next_beat(_SYNC_INTERVAL_S)
            try:
                if unsynced := self._journal.unsynced():
                    await asyncio.to_thread(sync, unsynced)
            except OSError as error:
                log.error("the journal cannot be written to the disk: %s", error)

    async def _report_provider_keys(self) -> None:
        """Tells the ledger of what becomes of providers' keys, in a task that nothing waits for."""
        while True:
            await asyncio.sleep(_KEY_REPORT_INTERVAL_S)
            await self._provider_keys.report(self._upstreams)

    def _exposition(self, home: Home) -> bytes:
        self._counters.write()
        return expose(home.counters, home.journal, self._audits.gauges())

    def _notices(self) -> tuple[HealthNotice, ...]:
        return self._router.health.notices(time.monotonic())

    def _hear(self, source: str, notices: tuple[HealthNotice, ...]) -> None:
        self._router.health.merge(source, notices, time.monotonic(), self._router.directory.deployments)

    def _close(self) -> None:
        self._shared.close()
        self._client.close()
        self._journal.close()
        self._lag.close()
        self._counters.close()
        self._questions.close()
        self._learner.close()
        self._servers.close()
        self._ratings.close()
        self._conversations.close()


async def main() -> int:
    """Runs a worker from its `Boot`; returns the exit status."""
    give_memory_back()
    give_way_soon()
    link = Link.open()
    boot = await link.boot()
    own = msgspec.json.decode(boot.own, type=WorkerBoot)
    logs.configure(boot.settings.log, f"worker-{own.index}")
    sockets = [socket.socket(fileno=number) for number in own.listen_fds]
    try:
        worker = Worker(boot, own.index)
    except (LedgerError, OSError) as error:
        link.send(Failed(message=str(error)))
        link.close()
        return 1
    # The objects that exist now stay; the collector need not examine them again on the hot path.
    gc.collect()
    gc.freeze()
    # A request makes hardly any cycles, so collections may be rare. Hundreds of requests under way hold tens of
    # thousands of objects; with a threshold below that, each turn of the loop would have a collection.
    gc.set_threshold(100_000, 20, 50)
    await worker.run(link, sockets)
    with suppress(OSError):
        link.close()
    return 0
