"""A hostile client in a process of its own, and ordinary ones beside it."""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import select
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final

from tests.hostile.requests import HOSTILE

AT_ONCE: Final = 8
PATIENCE_S: Final = 120.0
_PIECE: Final = 262_144


@dataclass(frozen=True)
class Answered:
    """What became of a hostile request: its status, 0 where there was no answer, and how the answer begins."""

    name: str
    status: int
    body: bytes


class HostileClient:
    """Sends these requests, several at once, when it is told to."""

    def __init__(self, port: int, key: str, model: str, names: Sequence[str]) -> None:
        self._ours, theirs = multiprocessing.Pipe()
        spawn = multiprocessing.get_context("spawn")
        self._process = spawn.Process(target=_send, args=(theirs, port, key, model, tuple(names)), daemon=True)
        self._process.start()
        theirs.close()

    async def ready(self) -> None:
        """All bodies are made."""
        await asyncio.to_thread(self._ours.recv)

    async def run(self) -> list[Answered]:
        """Send them all."""
        self._ours.send(None)
        answers: list[Answered] = await asyncio.to_thread(self._ours.recv)
        self._process.join()
        return answers


def _send(end: Connection, port: int, key: str, model: str, names: tuple[str, ...]) -> None:
    wanted = set(names)
    rows = [(each.name, each.coding, *each.made(model)) for each in HOSTILE if each.name in wanted]
    end.send(None)
    end.recv()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        end.send(list(pool.map(lambda row: _post(port, key, *row), rows)))


def _post(port: int, key: str, name: str, coding: str, path: str, body: bytes) -> Answered:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    if coding:
        head += f"content-encoding: {coding}\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
            sock.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode())
            for at in range(0, len(body), _PIECE):
                with suppress(BrokenPipeError, ConnectionResetError):
                    sock.sendall(body[at : at + _PIECE])
                if select.select([sock], [], [], 0)[0]:
                    break  # it has been refused
            answer = http.client.HTTPResponse(sock, method="POST")
            answer.begin()
            return Answered(name, answer.status, answer.read(2000))
    except (OSError, http.client.HTTPException) as error:
        return Answered(name, 0, repr(error).encode())


@dataclass
class Ordinary:
    """Clients that ask a little, one after another, until they are told to stop."""

    port: int
    key: str
    model: str
    count: int = 20
    pause_s: float = 0.01
    latencies: list[float] = field(default_factory=list)
    failures: list[bytes] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _over: bool = False

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(self.count)]

    async def stop(self) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _client(self, number: int) -> None:
        # As much work each time, so that what differs is the wait.
        asked = {"model": self.model, "temperature": 0, "max_tokens": (40, 9)[number % 2]}
        body = json.dumps({**asked, "messages": [{"role": "user", "content": f"Hi from {number}"}]}).encode()
        path = ("/v1/chat/completions", "/v1/messages")[number % 2]
        request = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode() + body
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while not self._over:
            began = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            answer = await reader.readexactly(int(length.split(b":")[1]))
            self.latencies.append(time.monotonic() - began)
            if not head.startswith(b"HTTP/1.1 200"):
                self.failures.append(head + answer)
            await asyncio.sleep(self.pause_s)
        writer.close()
