"""The requests of the command line to a running supervisor: one JSON line each way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from weebill.config.paths import Home
from weebill.process.messages import ProcessState
from weebill.process.sockets import listen

MAX_REQUEST_BYTES = 65_536
MAX_REPLY_BYTES = 16 * 1024 * 1024
TIMEOUT_S = 10.0


class StatusRequest(msgspec.Struct, frozen=True, tag="status"):
    """Asks for the status."""


class ReloadRequest(msgspec.Struct, frozen=True, tag="reload"):
    """Asks for a reload of the configuration."""


class LoadRequest(msgspec.Struct, frozen=True, tag="load"):
    """Asks to load a model, or with `unload` to unload it; answered by the `Status`."""

    model: str
    unload: bool = False


class OfferRequest(msgspec.Struct, frozen=True, tag="offer"):
    """Asks to look again which models this machine has; answered by the `Status` once the workers know them."""


class ModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A local model: its context in tokens for each of `slots` answers at a time, and the reason if it is down.

    `names` are those of all models that share its host, its own one first.

    A `cold` model is loaded for the first request. `stays` if it is never unloaded for another one, nor for want of
    use. `need` is the memory in bytes that its host is counted with. `kept_s` are the seconds after which it is
    unloaded if nobody uses it again, None if it is not.
    """

    name: str
    names: tuple[str, ...] = ()
    state: Literal["ready", "loading", "cold", "down"]
    context: int = 0
    slots: int = 0
    failure: str = ""
    stays: bool = True
    need: int = 0
    kept_s: float | None = None
    pid: int | None = None

    @property
    def ready(self) -> bool:
        """True if it can be called at once."""
        return self.state == "ready"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A running installation.

    `tls_cert` is the certificate file, "" without TLS; `needs_restart` names changed settings that await a restart.
    """

    version: str
    pid: int
    started_at: float
    origin: str
    tls_cert: str
    config_file: str
    models: tuple[ModelStatus, ...]
    processes: tuple[ProcessState, ...]
    needs_restart: tuple[str, ...]
    memory: int = 0
    """The memory in bytes that all local models together may take; 0 for no limit."""


class ReloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a reload; with `problems`, nothing has changed."""

    problems: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


class NotRunningError(Exception):
    """No supervisor answers in this home."""


Request = StatusRequest | ReloadRequest | LoadRequest | OfferRequest
Reply = Status | ReloadResult
R = TypeVar("R", bound=Reply)


def ask(home: Home, request: Request, reply_type: type[R]) -> R:
    """Sends `request` to the supervisor of `home`; returns its reply. Raises NotRunningError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(home.supervisor_socket))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline(MAX_REPLY_BYTES)
        except OSError as error:
            raise NotRunningError(f"Weebill is not running in {home.root}") from error
    if not line:
        raise NotRunningError(f"Weebill in {home.root} is just stopping")
    return msgspec.json.decode(line, type=reply_type)


async def serve(path: Path, answer: Callable[[Request], Awaitable[Reply]]) -> asyncio.Server:
    """Answers requests on the Unix socket `path`, which is for the user alone."""
    decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Invalid and slow requests get no answer.
        with suppress(OSError, TimeoutError, ValueError, msgspec.MsgspecError):
            async with asyncio.timeout(TIMEOUT_S):
                request = decoder.decode(await reader.readline())
                writer.write(msgspec.json.encode(await answer(request)) + b"\n")
                await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(connected, sock=listen(path), limit=MAX_REQUEST_BYTES)
