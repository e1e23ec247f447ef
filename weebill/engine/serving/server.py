"""The server of an engine that is written in Python: uvicorn on a thread, the work on another."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Final

import uvicorn
import uvloop

from weebill.engine import memory
from weebill.engine.errors import EngineError
from weebill.engine.role import EngineBoot, HostSettings
from weebill.engine.serving.http import Application
from weebill.engine.serving.work import Worker, WorkLoop

# For health checks, and the gateway's idle connections.
_SPARE_CONNECTIONS: Final = 1024
# The gateway closes its idle connections before.
_IDLE_S: Final = 600
_START_TIMEOUT_S: Final = 30.0
# Beside the main one: HTTP, the work, the health probes, the log, and what libraries start.
_THREADS: Final = 8


class PythonServer:
    """A worker that is served at `base_url` until this process ends: all of `Engine` but how it starts."""

    def __init__(self, worker: Worker, told: EngineBoot, context: int) -> None:
        """Returns when it answers. `context` is a request's context in tokens. Raises EngineError."""
        self.context = context
        self._work = WorkLoop(worker)
        most = worker.parallel + told.engine.max_waiting
        self._application = Application(self._work, worker.paths, most, told.api_key)
        self._http = _Http(self._application, most + _SPARE_CONNECTIONS)
        self._work.start()
        self.base_url = self._http.start()

    @staticmethod
    def room(settings: HostSettings) -> int | None:
        """Returns the bytes that this process may use once it has loaded; None if unknown."""
        return memory.with_room(_THREADS, 0)

    def prepare(self) -> None:
        """Does nothing: a first request waits for nothing."""

    def is_idle(self) -> bool:
        """True if no request is being worked on or waiting, and all answers are on their way."""
        return self._application.open == 0 and self._work.idle

    def wait_for_loop(self) -> None:
        """Returns when the loop of the connections has answered, and then the thread of the work between two steps."""
        self._http.wait_for_loop()
        self._work.wait_for_step()


class _Http(uvicorn.Server):
    """uvicorn on a thread of its own, without its signal handlers."""

    def __init__(self, application: Application, most_connections: int) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                limit_concurrency=most_connections,
                timeout_keep_alive=_IDLE_S,
            )
        )
        self._listening = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> str:
        """Listens on a loopback port that the system chooses; returns the origin. Raises EngineError."""
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        threading.Thread(target=self._run, args=(listener,), name="http", daemon=True).start()
        if not self._listening.wait(_START_TIMEOUT_S):
            raise EngineError("HTTP could not be served on this machine's loopback")
        return f"http://127.0.0.1:{port}"

    def wait_for_loop(self) -> None:
        """Returns when the loop has answered."""
        answered = threading.Event()
        assert self._loop is not None  # noqa: S101 - it listens
        self._loop.call_soon_threadsafe(answered.set)
        answered.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._listening.set()

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self.serve(sockets=[listener]))
