"""An HTTP proxy: joins connections for CONNECT, passes requests in absolute form on."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b64encode
from urllib.parse import urlsplit

from weebill.transport.client import Proxy

REFUSAL = b"<h1>Ask \x1b[31myour\nadministrator</h1>"


class RunningProxy:
    """Keeps the heads of what it was asked. `answer`, if set, is all that it says; names lead to `resolved`."""

    def __init__(self, credentials: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._wanted = b"Basic " + b64encode(credentials.encode()) if credentials else b""
        self.heads: list[bytes] = []
        self.connections = 0
        self.answer = b""
        self.resolved: dict[str, str] = {}
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RunningProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, credentials: str = "") -> str:
        scheme, host = ("https", "localhost") if self._tls else ("http", "127.0.0.1")
        return f"{scheme}://{credentials}{'@' if credentials else ''}{host}:{self.port}"

    def proxy(self, credentials: str = "") -> Proxy:
        return Proxy.parse(self.url(credentials))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self.answer:
                writer.write(self.answer)
                await writer.drain()
                await reader.read()
                return
            shown = head.lower().find(b"\r\nproxy-authorization: ")
            if self._wanted and (shown < 0 or head[shown:].split(b"\r\n")[1].split(b": ")[1] != self._wanted):
                length = b"content-length: %d\r\n\r\n" % len(REFUSAL)
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n" + length + REFUSAL)
                await writer.drain()
                return
            method, target, rest = head.split(b" ", 2)
            if method == b"CONNECT":
                host, _, port = target.decode().rpartition(":")
                source, upstream = await self._connected(host.strip("[]"), int(port))
                writer.write(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
                await asyncio.gather(pump(reader, upstream), pump(source, writer))
                return
            upstream = await self._pass_on(reader, writer, method, target, rest)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            if upstream is not None:
                upstream.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: bytes, target: bytes, rest: bytes
    ) -> asyncio.StreamWriter:
        """One request in absolute form, and its answer, which ends the connection."""
        parts = urlsplit(target.decode())
        path = parts.path + ("?" + parts.query if parts.query else "")
        version, *lines = rest.removesuffix(b"\r\n\r\n").split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith((b"proxy-", b"connection:"))]
        length = sum(int(line[15:]) for line in kept if line.lower().startswith(b"content-length:"))
        source, upstream = await self._connected(parts.hostname or "", parts.port or 80)
        first = b"%b %b %b" % (method, path.encode(), version)
        upstream.write(b"\r\n".join([first, *kept, b"connection: close", b"", b""]))
        upstream.write(await reader.readexactly(length))
        await pump(source, writer)
        return upstream

    async def _connected(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.resolved.get(host, host), port)


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
    with contextlib.suppress(OSError, NotImplementedError):
        sink.close()
