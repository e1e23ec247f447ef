"""The control process: listens on its Unix socket, follows the supervisor, and ingests usage beside it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from weebill.accounts.keyring import KeyRing
from weebill.accounts.pepper import read_pepper
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.control.app import create_app
from weebill.control.overview import Overview
from weebill.process import logs
from weebill.process.link import Link
from weebill.process.messages import Boot, Drain, Engines, Failed, Ping, Pong, Processes, Ready, Reload
from weebill.storage.database import open_ledger
from weebill.usage.ingestion import IngestThread

PROCESS_NAME = "control"

_MAX_REQUESTS = 1024
_MAX_MESSAGE_BYTES = 65_536
_FINISH_S = 30.0
_LOOK_S = 0.25

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: when to stop is the supervisor's decision."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


async def main() -> int:
    """Run from `Boot` to `Drain`; the exit status. If the supervisor goes away, the process ends at once."""
    link = Link.open()
    boot = await link.boot()
    logs.configure(boot.settings.log, PROCESS_NAME)
    home = Home(Path(boot.home))
    try:
        open_ledger(home.database).close()
        keyring = KeyRing(home.database, read_pepper(home.pepper))
        listener = listen(home.control_socket)
    except (LedgerError, OSError) as error:
        link.send(Failed(message=str(error)))
        link.close()
        return 1
    overview = Overview(home, boot.settings, boot.engines)
    ingestion = IngestThread(home, boot.settings.metering.ingest_interval_s, overview.cost)
    ingestion.start()
    server = Server(_server_config(overview, keyring))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    link.send(Ready())
    asked = asyncio.Event()
    answering = asyncio.create_task(_answer(link, asked, ingestion))
    drain = await _follow(link, asked, overview, ingestion)
    answering.cancel()
    if drain is None:
        os._exit(1)  # at once, whatever is under way: journals and ledger are made for it
    server.config.timeout_graceful_shutdown = max(1, int(drain.grace_s))
    server.should_exit = True
    await serving
    await asyncio.to_thread(ingestion.finish, _FINISH_S)
    with suppress(FileNotFoundError):
        home.control_socket.unlink()
    return 0


def listen(path: Path) -> socket.socket:
    """A socket at `path` that only the user may open; one left there by a dead process is replaced.

    Raises OSError.
    """
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mask = os.umask(0o177)
        try:
            listener.bind(str(draft))
        except OSError as error:
            raise OSError(f"cannot listen at {path}: {error}; a shorter WEEBILL_HOME may help") from error
        finally:
            os.umask(mask)
        listener.listen()
        draft.replace(path)  # only now, so that whoever finds it can connect
    except BaseException:
        listener.close()
        raise
    return listener


async def _follow(link: Link, asked: asyncio.Event, overview: Overview, ingestion: IngestThread) -> Drain | None:
    """Take in what the supervisor says, up to `Drain`; None if the supervisor goes away."""
    async for message in link:
        match message:
            case Drain():
                return message
            case Ping():
                asked.set()
            case Reload(settings=settings):
                logs.configure(settings.log, PROCESS_NAME)
                overview.settings = settings
                ingestion.interval_s = settings.metering.ingest_interval_s
            case Engines(engines=engines):
                overview.engines = engines
            case Processes(processes=processes):
                overview.processes = processes
            case Boot():
                log.warning("the supervisor sent Boot twice")
    return None


async def _answer(link: Link, asked: asyncio.Event, ingestion: IngestThread) -> None:
    """Answer the supervisor each time, as soon as ingestion gets on, too: nobody else looks after it."""
    while True:
        await asked.wait()
        if ingestion.moves:
            asked.clear()
            link.send(Pong())
        else:
            await asyncio.sleep(_LOOK_S)


def _server_config(overview: Overview, keyring: KeyRing) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(overview, keyring),
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
