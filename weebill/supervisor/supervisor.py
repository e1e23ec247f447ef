"""The process that runs all others: starts them in order, keeps them alive, informs them of changes, drains them."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from weebill import __version__
from weebill.config.load import Configuration, Sources
from weebill.config.problems import ConfigError
from weebill.control.role import ROLE as CONTROL
from weebill.discovery.role import ROLE as DISCOVERY
from weebill.engine.role import ROLE as ENGINE
from weebill.engine.role import EngineBoot
from weebill.gateway.role import ROLE as WORKER
from weebill.gateway.role import WorkerBoot
from weebill.learner.role import ROLE as LEARNER
from weebill.ledger.role import ROLE as LEDGER
from weebill.models.store import ServedModel
from weebill.process import logs, messages
from weebill.process.messages import (
    Boot,
    Engines,
    EngineState,
    FromChild,
    Known,
    Processes,
    ProcessState,
    Reload,
    Stocked,
    ToChild,
)
from weebill.process.role import Role
from weebill.supervisor import commands
from weebill.supervisor.child import STDERR_FD, Child
from weebill.supervisor.commands import (
    LoadRequest,
    ModelStatus,
    OfferRequest,
    ReloadRequest,
    ReloadResult,
    Status,
    StatusRequest,
)
from weebill.supervisor.engine_states import state_of, statuses_of
from weebill.supervisor.file_limit import warn_of_limit
from weebill.supervisor.listeners import Listeners
from weebill.supervisor.local_use import LocalUse
from weebill.supervisor.manager import ServiceManager
from weebill.supervisor.pool import Pool
from weebill.supervisor.pooled_model import PooledModel
from weebill.supervisor.reload import reload

log = logging.getLogger(__name__)

Offers = Callable[[], Mapping[str, ServedModel]]
"""Returns all local models that there are, by name."""

# In the order of their starts; those of one process each are drained last, the first one at the very end.
ROLES: Final[tuple[Role, ...]] = (LEDGER, LEARNER, DISCOVERY, CONTROL, ENGINE, WORKER)
# By then, only their own work is left.
LAST_GRACE_S: Final = 5.0
# An engine answers between two steps, and the steps of a larger model take longer.
_COMPACT_BYTES: Final = 256 << 20
# The time to look at an image on few cores, in times of `watchdog_s`.
_IMAGE_STEPS: Final = 60.0
# A worker that has not heard of other models by then is one that hangs.
_KNOWN_S: Final = 5.0


def no_more() -> Mapping[str, ServedModel]:
    """Returns no models beside those that are loaded at the start."""
    return {}


class Supervisor:
    """One installation, from `run` until a signal ends it.

    `models` are the local models that are loaded at the start, by name; `offers` returns all that there are, and their
    hosts have `memory` bytes together. `manager` is notified of the state. `on_started` is called once, when every
    child is ready or has failed to start. The caller holds the home's lock and has opened `listeners`.
    """

    def __init__(
        self,
        sources: Sources,
        configuration: Configuration,
        listeners: Listeners,
        models: Mapping[str, ServedModel],
        manager: ServiceManager,
        on_started: Callable[[Status], None] = lambda status: None,
        roles: Iterable[Role] = ROLES,
        offers: Offers = no_more,
        memory: int = 0,
    ) -> None:
        self._sources = sources
        self._settings = configuration.settings
        self._listeners = listeners
        self._manager = manager
        self._on_started = on_started
        self._started_at = time.time()
        self._needs_restart: tuple[str, ...] = ()
        self._offering = asyncio.Lock()
        self._news: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._on_terminal = os.isatty(STDERR_FD)
        self._told_engines: tuple[EngineState, ...] = ()
        self._told_processes: tuple[ProcessState, ...] = ()
        self._engine_keys: dict[str, str] = {}
        self._loaded_at_start = models
        self._offers = offers
        by_name = {role.name: role for role in roles}
        self._engine_role, worker = by_name.pop(ENGINE.name), by_name.pop(WORKER.name)
        self._memory = memory
        self._pool = Pool(self._engine, memory, lambda: self._settings.local, self._changed)
        self._use = LocalUse(self._pool, lambda: self._workers)
        self._resting = list(by_name.values())
        self._services: list[Child] = []
        self._wake()
        self._workers: list[Child] = []
        self._offer(self._offers())
        self._pool.start()
        self._workers = [self._worker(index, worker) for index in range(self._settings.server.workers)]

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT, then drains."""
        server = await commands.serve(self._sources.home.supervisor_socket, self._answer)
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: self._interrupt, signal.SIGHUP: self._hang_up}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            self._listeners.listen()
            # In this order; none waits for the previous one, so the endpoint answers while a model loads.
            for child in self._children():
                child.start()
            announcing = asyncio.create_task(self._announce_start())
            living = [asyncio.create_task(each) for each in (self._manager.keep_up(), self._pool.keep())]
            await self._stop.wait()
            for task in (announcing, *living):
                task.cancel()
            await self._drain()
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)
            server.close()
            self._sources.home.supervisor_socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Begins to drain."""
        self._stop.set()

    def reload(self) -> ReloadResult:
        """Applies a changed configuration as far as a running installation can; refuses one with problems."""
        try:
            reloaded = reload(self._sources, self._settings)
        except ConfigError as error:
            for problem in error.problems:
                log.error("reload refused: %s", problem)
            return ReloadResult(problems=tuple(map(str, error.problems)))
        self._settings = reloaded.configuration.settings
        self._needs_restart = reloaded.needs_restart
        for child in self._wake():
            child.start()
        logs.configure(self._settings.log, "supervisor")
        self._tell(Reload(settings=self._settings))
        log.info("configuration reloaded")
        for warning in reloaded.configuration.warnings:
            log.warning("%s", warning)
        warn_of_limit(self._settings.server.max_connections)
        if self._needs_restart:
            log.warning("restart Weebill to change %s", ", ".join(self._needs_restart))
        return ReloadResult(needs_restart=self._needs_restart)

    def status(self) -> Status:
        """Returns the status of the installation."""
        return Status(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            origin=self._origin(),
            tls_cert=self._settings.server.tls_cert or "",
            config_file=str(self._sources.file),
            models=tuple(self._model_statuses()),
            processes=self._process_states(),
            needs_restart=self._needs_restart,
            memory=self._memory,
        )

    def _model_statuses(self) -> Iterator[ModelStatus]:
        for model in self._pool.models:
            yield from statuses_of(model, self._pool.now(), self._pool.kept_s(model))

    def _wake(self) -> list[Child]:
        """Makes the services that the settings need and that are not there yet, and returns them."""
        needed = [role for role in self._resting if role.needed(self._settings)]
        self._resting = [role for role in self._resting if role not in needed]
        made = [self._child(role.name, role) for role in needed]
        self._services += made
        return made

    def _origin(self) -> str:
        return self._listeners.origin("https" if self._settings.server.tls_cert else "http")

    def _children(self) -> Iterable[Child]:
        yield from self._services
        yield from self._pool.hosts
        yield from self._workers

    def _silence_s(self) -> float:
        return self._settings.server.watchdog_s

    def _offer(self, models: Mapping[str, ServedModel]) -> None:
        """Has the pool know these models; those of the start come first, and may lack a file."""
        self._pool.offer({**self._loaded_at_start, **models}, self._loaded_at_start)

    def _engine(self, model: PooledModel) -> Child:
        served = model.offer.first
        size = served.path.stat().st_size if served.path.exists() else 0
        # An image is looked at in one step.
        longest = max(1.0, size / _COMPACT_BYTES) + (_IMAGE_STEPS if served.projector is not None else 0.0)

        def silence_s() -> float:
            return self._silence_s() * longest

        def own() -> EngineBoot:
            # In each life anew: the model's file may have been replaced by one of another name.
            context, parallel, _ = model.window
            engine = msgspec.structs.replace(self._settings.local.engine, context=context, parallel=parallel)
            return EngineBoot.of(model.key, model.boot(), engine, self._engine_key(model.key))

        return self._child(f"engine {model.key}", self._engine_role, own, silence_s)

    def _engine_key(self, model: str) -> str:
        """Returns the key that requests to the hosts of a model of the pool carry; the same for all of its hosts."""
        return self._engine_keys.setdefault(model, secrets.token_urlsafe(32))

    def _worker(self, index: int, role: Role) -> Child:
        fds = self._listeners.fds(index)
        own = WorkerBoot(index=index, listen_fds=fds)
        return self._child(f"worker-{index}", role, lambda: own, fds=fds)

    def _hear(self, child: str, message: FromChild) -> None:
        """Handles what a child says of the local models."""
        if isinstance(message, Stocked):
            news = asyncio.create_task(self._make_known(message.number))
            self._news.add(news)
            news.add_done_callback(self._news.discard)
        else:
            self._use.hear(child, message)

    async def _make_known(self, number: int) -> None:
        await self._offer_known()
        self._tell(Known(number=number))

    async def _offer_known(self) -> None:
        """Offers the models that there are; returns when the workers know them, or do not answer."""
        # One after the other, so that the newest look is the last. In a thread: files are read for it.
        async with self._offering:
            try:
                self._offer(await asyncio.to_thread(self._offers))
            except OSError as error:
                log.error("the models of this machine cannot be listed: %s", error)
        self._changed()
        with suppress(TimeoutError):
            async with asyncio.timeout(_KNOWN_S):
                await asyncio.gather(*(worker.caught_up() for worker in self._workers))

    def _child(
        self,
        name: str,
        role: Role,
        own: Callable[[], msgspec.Struct | None] = lambda: None,
        silence_s: Callable[[], float] | None = None,
        fds: tuple[int, ...] = (),
    ) -> Child:
        def boot() -> Boot:
            engines, processes = Engines(engines=self._engine_states()), Processes(processes=self._process_states())
            news = (engines, processes, self._use.kept(name))
            return Boot(
                role=role.name,
                home=str(self._sources.home.root),
                settings=role.settings(self._settings),
                own=messages.own(own()),
                told=tuple(message for message in news if type(message) in role.follows),
            )

        hear, forget = partial(self._hear, name), partial(self._use.forget, name)
        return Child(name, role, boot, self._changed, silence_s or self._silence_s, fds, hear, forget)

    def _engine_states(self) -> tuple[EngineState, ...]:
        # What was removed is not there any more, even if its host still answers what it was asked.
        models = [each for each in self._pool.models if not each.gone]
        return tuple(self._engine_state(each, name) for each in models for name in each.offer.members)

    def _engine_state(self, model: PooledModel, name: str) -> EngineState:
        return state_of(model, name, self._engine_key(model.key), self._pool.now())

    def _process_states(self) -> tuple[ProcessState, ...]:
        return tuple(child.snapshot() for child in self._children())

    def _changed(self) -> None:
        """Sends the children's changed states to the processes that follow them."""
        engines = self._engine_states()
        if engines != self._told_engines:
            self._told_engines = engines
            self._tell(Engines(engines=engines))
        processes = self._process_states()
        if processes != self._told_processes:
            self._told_processes = processes
            self._tell(Processes(processes=processes))
        if not self._stop.is_set():
            loading = {each.host for each in self._pool.models if not each.stays}
            waiting = [child.name for child in self._children() if not child.answers and child not in loading]
            serving = any(worker.serves for worker in self._workers)
            self._manager.follow(serving, self._origin(), waiting)

    def _tell(self, message: ToChild) -> None:
        for child in self._children():
            child.tell(message)

    async def _announce_start(self) -> None:
        for child in self._children():
            await child.settled()
        self._on_started(self.status())

    async def _drain(self) -> None:
        """Drains the workers first, then the processes that they need, and last the one that records usage."""
        self._listeners.close()
        grace_s = self._settings.server.drain_grace_s
        log.info("draining")
        self._manager.stopping()
        await asyncio.gather(*(worker.stop(grace_s) for worker in self._workers))
        await self._pool.close()
        for service in reversed(self._services):
            await service.stop(LAST_GRACE_S)
        log.info("stopped")

    async def _answer(self, request: commands.Request) -> commands.Reply:
        match request:
            case StatusRequest():
                return self.status()
            case ReloadRequest():
                return self.reload()
            case LoadRequest(model=model, unload=unload):
                if unload:
                    self._pool.unload(model)
                else:
                    self._pool.want(model)
                return self.status()
            case OfferRequest():
                await self._offer_known()
                return self.status()

    def _interrupt(self) -> None:
        if self._stop.is_set():
            for worker in self._workers:
                worker.hurry()
        self.stop()

    def _hang_up(self) -> None:
        # SIGHUP also comes when our terminal is closed; then it ends the installation.
        if self._on_terminal and not os.isatty(STDERR_FD):
            self.stop()
        else:
            self.reload()
