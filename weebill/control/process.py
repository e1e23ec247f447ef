"""The control process: listens on its Unix socket, and follows the supervisor."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.pepper import read_pepper
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.control.app import create_app, mailer_of
from weebill.control.overview import Overview
from weebill.process import logs
from weebill.process.link import Link
from weebill.process.messages import (
    Drain,
    Engines,
    Failed,
    Known,
    Ping,
    Pong,
    Processes,
    Ready,
    Reload,
    Stocked,
    ToChild,
)
from weebill.process.questions import Questions
from weebill.process.sockets import listen
from weebill.routing.adapters import TIMEOUT_S as ADAPTERS_S
from weebill.routing.servers import TOPIC as SERVERS
from weebill.routing.servers import has_servers
from weebill.storage.opening import open_ledger

PROCESS_NAME = "control"

_MAX_REQUESTS = 1024
_MAX_MESSAGE_BYTES = 65_536
_STOCK_TIMEOUT_S = 8.0
_DATE_S = 1.0  # between two updates of the header Date, which has seconds

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the supervisor decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._ending = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        # uvicorn's own wakes up ten times a second, to see whether a signal has come.
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_DATE_S):
                    await self._ending.wait()

    def end(self, grace_s: float) -> None:
        """Begins to drain: `serve` returns once requests under way are answered, or after `grace_s`."""
        self.config.timeout_graceful_shutdown = max(1, int(grace_s))
        self.should_exit = True
        self._ending.set()


async def main() -> int:
    """Runs from `Boot` to `Drain`; returns the exit status. If the supervisor is gone, the process ends at once."""
    link = Link.open()
    boot = await link.boot()
    logs.configure(boot.settings.log, PROCESS_NAME)
    home = Home(Path(boot.home))
    try:
        pepper = read_pepper(home.pepper)
        listener = listen(home.control_socket)
    except (LedgerError, OSError) as error:
        link.send(Failed(message=str(error)))
        link.close()
        return 1
    overview = Overview(home, boot.settings)
    for message in boot.told:
        _hear(message, overview)
    questions = Questions(home.ledger_socket)
    learner = Questions(home.learner_socket)
    directory = KeyDirectory(pepper, questions.ask)
    discovery = Questions(home.discovery_socket, {SERVERS: overview.servers})
    ask_discovery = partial(discovery.ask, timeout_s=ADAPTERS_S)
    stock = _Stock(link)
    ledger = open_ledger(home, boot.settings.database)
    mailer = mailer_of(overview, ledger)
    app = create_app(overview, directory, ledger, learner.ask, ask_discovery, stock.changed, mailer)
    mailing = asyncio.create_task(mailer.run())
    server = Server(_server_config(app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    link.send(Ready())
    drain = await _follow(link, overview, discovery, stock)
    if drain is None:
        os._exit(1)  # at once, without draining
    server.end(drain.grace_s)
    await serving
    mailing.cancel()
    questions.close()
    learner.close()
    discovery.close()
    ledger.close()
    with suppress(FileNotFoundError):
        home.control_socket.unlink()
    return 0


class _Stock:
    """The models of this machine, as the processes that serve know them."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._number = 0
        self._known: dict[int, asyncio.Event] = {}

    def known(self, number: int) -> None:
        """Notes that what was said under this number is known."""
        if number in self._known:
            self._known[number].set()

    async def changed(self) -> None:
        """Has the supervisor look again; returns when the workers know what it found, or do not answer."""
        self._number += 1
        number, known = self._number, asyncio.Event()
        self._known[number] = known
        self._link.send(Stocked(number=number))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOCK_TIMEOUT_S):
                    await known.wait()
        finally:
            del self._known[number]


async def _follow(link: Link, overview: Overview, discovery: Questions, stock: _Stock) -> Drain | None:
    """Handles the supervisor's messages up to `Drain`; returns None if the supervisor is gone."""
    _follow_servers(overview, discovery)
    async for message in link:
        match message:
            case Drain():
                return message
            case Ping():
                link.send(Pong())
            case Known(number=number):
                stock.known(number)
            case _:
                _hear(message, overview)
                _follow_servers(overview, discovery)
    return None


def _follow_servers(overview: Overview, discovery: Questions) -> None:
    """Follows the discovery process once there is one."""
    if has_servers(overview.settings):
        discovery.start()


def _hear(message: ToChild, overview: Overview) -> None:
    match message:
        case Reload(settings=settings):
            logs.configure(settings.log, PROCESS_NAME)
            overview.settings = settings
        case Engines(engines=engines):
            overview.engines = engines
        case Processes(processes=processes):
            overview.processes = processes
        case _:
            log.warning("the supervisor sent a message that is not for the control process")


def _server_config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_MAX_REQUESTS,
        ws_max_size=_MAX_MESSAGE_BYTES,
    )
