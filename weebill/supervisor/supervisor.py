"""The process that runs all others: starts them in order, keeps them alive, tells them what changes, drains them."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from weebill import __version__
from weebill.config.load import Configuration, Sources
from weebill.config.problems import ConfigError
from weebill.process import logs
from weebill.process.messages import Boot, Engines, EngineState, Processes, ProcessState, Reload, Role, ToChild
from weebill.supervisor import commands
from weebill.supervisor.child import ROLES, STDERR_FD, Child, RolePolicy
from weebill.supervisor.commands import ModelStatus, ReloadRequest, ReloadResult, Status, StatusRequest
from weebill.supervisor.file_limit import warn_of_limit
from weebill.supervisor.listeners import Listeners
from weebill.supervisor.manager import ServiceManager
from weebill.supervisor.reload import reload

log = logging.getLogger(__name__)

# By the time the control process drains, only what it serves itself is left.
CONTROL_GRACE_S = 5.0
# An engine answers between two steps, and the steps of a larger model take longer.
_COMPACT_BYTES = 256 << 20


class Supervisor:
    """One installation, from `run` until a signal ends it.

    `model_paths` are the files of the local models by name. `manager` is told how things are. `on_started` is called
    once, when every child is ready or has failed to start. The caller holds the home's lock and has opened `listeners`.
    """

    def __init__(
        self,
        sources: Sources,
        configuration: Configuration,
        listeners: Listeners,
        model_paths: Mapping[str, Path],
        manager: ServiceManager,
        on_started: Callable[[Status], None] = lambda status: None,
        roles: Mapping[Role, RolePolicy] = ROLES,
    ) -> None:
        self._sources = sources
        self._settings = configuration.settings
        self._listeners = listeners
        self._manager = manager
        self._on_started = on_started
        self._started_at = time.time()
        self._needs_restart: tuple[str, ...] = ()
        self._stop = asyncio.Event()
        self._on_terminal = os.isatty(STDERR_FD)
        self._told_engines: tuple[EngineState, ...] = ()
        self._told_processes: tuple[ProcessState, ...] = ()
        self._engine_keys = {model: secrets.token_urlsafe(32) for model in model_paths}
        self._control = self._serving("control", "control", roles["control"], 0, ())
        self._engines = {model: self._engine(model, path, roles["engine"]) for model, path in model_paths.items()}
        self._workers = [
            self._serving(f"worker-{index}", "worker", roles["worker"], index, listeners.fds(index))
            for index in range(self._settings.server.workers)
        ]

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then drain."""
        server = await commands.serve(self._sources.home.supervisor_socket, self._answer)
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: self._interrupt, signal.SIGHUP: self._hang_up}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            self._listeners.listen()
            # In this order; none waits for the one before, so that the endpoint answers while a model loads.
            for child in self._children():
                child.start()
            announcing = asyncio.create_task(self._announce_start())
            living = asyncio.create_task(self._manager.keep_up())
            await self._stop.wait()
            announcing.cancel()
            await self._drain()
            living.cancel()
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)
            server.close()
            self._sources.home.supervisor_socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Begin to drain."""
        self._stop.set()

    def reload(self) -> ReloadResult:
        """Take over a changed configuration as far as a running installation can; refuse one with problems."""
        try:
            reloaded = reload(self._sources, self._settings)
        except ConfigError as error:
            for problem in error.problems:
                log.error("reload refused: %s", problem)
            return ReloadResult(problems=tuple(map(str, error.problems)))
        self._settings = reloaded.configuration.settings
        self._needs_restart = reloaded.needs_restart
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
        """How everything is."""
        return Status(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            origin=self._origin(),
            tls_cert=self._settings.server.tls_cert or "",
            config_file=str(self._sources.file),
            models=tuple(
                ModelStatus(model, child.answers, child.ready.context if child.ready else 0, child.failure)
                for model, child in self._engines.items()
            ),
            processes=self._process_states(),
            needs_restart=self._needs_restart,
        )

    def _origin(self) -> str:
        return self._listeners.origin("https" if self._settings.server.tls_cert else "http")

    def _children(self) -> Iterable[Child]:
        yield self._control
        yield from self._engines.values()
        yield from self._workers

    def _silence_s(self) -> float:
        return self._settings.server.watchdog_s

    def _engine(self, model: str, path: Path, policy: RolePolicy) -> Child:
        size = path.stat().st_size if path.exists() else 0

        def boot() -> Boot:
            # A model needs no keys of providers.
            return Boot(
                role="engine",
                home=str(self._sources.home.root),
                settings=msgspec.structs.replace(self._settings, providers={}),
                model=model,
                model_path=str(path),
                engine_key=self._engine_keys[model],
            )

        def silence_s() -> float:
            return self._silence_s() * max(1.0, size / _COMPACT_BYTES)

        return Child(f"engine {model}", "engine", policy, boot, self._changed, silence_s)

    def _serving(self, name: str, role: Role, policy: RolePolicy, index: int, fds: tuple[int, ...]) -> Child:
        """A worker, or the control process: those who know of engines and of all settings."""

        def boot() -> Boot:
            return Boot(
                role=role,
                index=index,
                home=str(self._sources.home.root),
                settings=self._settings,
                listen_fds=fds,
                engines=self._engine_states(),
            )

        return Child(name, role, policy, boot, self._changed, self._silence_s, fds)

    def _engine_states(self) -> tuple[EngineState, ...]:
        return tuple(
            EngineState(
                model=model,
                api_key=self._engine_keys[model],
                base_url=child.ready.base_url if child.ready else None,
                context=child.ready.context if child.ready else 0,
                answers=child.answers or child.ready is None,
            )
            for model, child in self._engines.items()
        )

    def _process_states(self) -> tuple[ProcessState, ...]:
        return tuple(child.snapshot() for child in self._children())

    def _changed(self) -> None:
        """Tell those who serve what is different about the children since they were last told."""
        engines = self._engine_states()
        if engines != self._told_engines:
            self._told_engines = engines
            self._tell(Engines(engines=engines))
        processes = self._process_states()
        if processes != self._told_processes:
            self._told_processes = processes
            self._control.send(Processes(processes=processes))
        if not self._stop.is_set():
            waiting = [child.name for child in self._children() if not child.answers]
            serving = any(worker.serves for worker in self._workers)
            self._manager.follow(serving, self._origin(), waiting)

    def _tell(self, message: ToChild) -> None:
        for child in (self._control, *self._workers):
            child.send(message)

    async def _announce_start(self) -> None:
        for child in self._children():
            await child.settled()
        self._on_started(self.status())

    async def _drain(self) -> None:
        """Finish requests first, then what they need, then what records them."""
        self._listeners.close()
        grace_s = self._settings.server.drain_grace_s
        log.info("draining")
        self._manager.stopping()
        await asyncio.gather(*(worker.stop(grace_s) for worker in self._workers))
        await asyncio.gather(*(engine.stop(0.0) for engine in self._engines.values()))
        await self._control.stop(CONTROL_GRACE_S)
        log.info("stopped")

    def _answer(self, request: commands.Request) -> commands.Reply:
        match request:
            case StatusRequest():
                return self.status()
            case ReloadRequest():
                return self.reload()

    def _interrupt(self) -> None:
        if self._stop.is_set():
            for worker in self._workers:
                worker.hurry()
        self.stop()

    def _hang_up(self) -> None:
        # SIGHUP also comes when the terminal that shows us is closed; then there is no one to serve on for.
        if self._on_terminal and not os.isatty(STDERR_FD):
            self.stop()
        else:
            self.reload()
