"""A TCP proxy in front of a server, which makes it slow, silent, or as good as stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 1 << 16
_LOOK_S: Final = 0.02


class Between:
    """Passes connections on to a port of 127.0.0.1, from a port of its own; a thread of its own does that.

    What the server says is passed on `delay_s` later, each answer after the one before. While it is `silent`, nothing
    is passed on. Between `close` and `open`, connections are refused.
    """

    def __init__(self, server_port: int) -> None:
        self.delay_s = 0.0
        self.silent = False
        self.port = 0
        self._server_port = server_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="between", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def close(self) -> None:
        """Cut all connections, and refuse others until `open`."""
        self._do(self._close())

    def open(self) -> None:
        """Accept connections again."""
        self._do(self._listen())

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            source, sink = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(sink)
        try:
            ends = (self._pump(reader, sink, answers=False), self._pump(source, writer, answers=True))
            pumps = [asyncio.create_task(each) for each in ends]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for each in pumps:
                each.cancel()
        finally:
            for end in (writer, sink):
                end.close()
                self._writers.discard(end)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if answers and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                while self.silent:
                    await asyncio.sleep(_LOOK_S)
                sink.write(data)
                await sink.drain()
