"""A SOCKS5 proxy (RFC 1928, RFC 1929) that joins connections."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress

from tests.transport.proxy import pump
from weebill.transport.client import Proxy


class RunningSocks:
    """Keeps the targets that it was asked for. `answer`, if set, is all that it says; names lead to `resolved`.

    `reply` is what it says of every target, where that is not 0.
    """

    def __init__(self, login: tuple[str, str] | None = None, reply: int = 0) -> None:
        self._login = login
        self._reply = reply
        self.answer: bytes | None = None
        self.targets: list[tuple[str, int]] = []
        self.resolved: dict[str, str] = {}
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RunningSocks:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, credentials: str = "", scheme: str = "socks5") -> str:
        return f"{scheme}://{credentials}{'@' if credentials else ''}127.0.0.1:{self.port}"

    def proxy(self, credentials: str = "", scheme: str = "socks5") -> Proxy:
        return Proxy.parse(self.url(credentials, scheme))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        try:
            version, count = await reader.readexactly(2)
            methods = await reader.readexactly(count)
            if self.answer is not None:
                writer.write(self.answer)
                if self.answer:
                    await reader.read()
                return
            method = 2 if self._login else 0
            if version != 5 or method not in methods:
                writer.write(b"\x05\xff")
                return
            writer.write(bytes([5, method]))
            if self._login and not await self._signs_in(reader, writer, self._login):
                return
            source, upstream = await self._connected(reader, writer)
            if upstream is not None and source is not None:
                await asyncio.gather(pump(reader, upstream), pump(source, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writer.close()
            if upstream is not None:
                upstream.close()

    async def _signs_in(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, login: tuple[str, str]
    ) -> bool:
        _, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        fits = (user.decode(), password.decode()) == login
        writer.write(b"\x01\x00" if fits else b"\x01\x01")
        return fits

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[asyncio.StreamReader | None, asyncio.StreamWriter | None]:
        _, command, _, kind = await reader.readexactly(4)
        assert command == 1
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2))
        self.targets.append((host, port))
        if self._reply:
            writer.write(bytes([5, self._reply, 0, 1]) + bytes(6))
            return None, None
        source, upstream = await asyncio.open_connection(self.resolved.get(host, host), port)
        # In pieces, and from a name, as it may be.
        for piece in (b"\x05\x00", b"\x00\x03", b"\x05local\x1f", b"\x90"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return source, upstream
