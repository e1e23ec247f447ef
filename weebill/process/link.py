"""The link between the supervisor and a child: JSON lines over a socket pair.

`Link` (asyncio) and `SyncLink` (blocking) are a child's end, `ChildLink` is the supervisor's. Iteration yields
messages, and stops at end of file. At a child's end that means that the supervisor is gone, and the child exits at
once.

    link = Link.open()
    boot = await link.boot()
    link.send(Ready())
    async for message in link: ...
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Generic, TypeVar

import msgspec

from weebill.process.messages import Boot, FromChild, Message, ToChild

LINK_FD_VARIABLE = "WEEBILL_LINK_FD"

# A `Boot` carries all settings; thousands of model names still fit.
MAX_LINE_BYTES = 16 * 1024 * 1024
# A child that leaves more than this unread counts as stuck.
MAX_UNREAD_BYTES = 2 * MAX_LINE_BYTES

In = TypeVar("In", bound=Message)
Out = TypeVar("Out", bound=Message)

_to_child: msgspec.json.Decoder[ToChild] = msgspec.json.Decoder(ToChild)
_from_child: msgspec.json.Decoder[FromChild] = msgspec.json.Decoder(FromChild)


class LinkClosedError(ConnectionError):
    """The other end is gone, or does not speak this protocol."""


class _AsyncLines(Generic[In, Out]):
    """One end of a link on an event loop."""

    def __init__(self, end: socket.socket, decoder: msgspec.json.Decoder[In]) -> None:
        self._socket = end
        self._decoder = decoder
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        """Attaches to the running event loop; `send` and iteration work from here on."""
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._socket, limit=MAX_LINE_BYTES)

    def send(self, message: Out) -> None:
        """Queues `message`. A peer that has stopped reading is cut off, so the queue is bounded."""
        writer = self._writer
        if writer is None or writer.is_closing():
            return
        writer.write(_encode(message))
        if writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            writer.transport.abort()

    async def receive(self) -> In | None:
        """Returns the next message, or None at end of file. Raises LinkClosedError for a line that is no message."""
        if self._reader is None:
            await self.connect()
        assert self._reader is not None  # noqa: S101 - connect() has just set it
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        except ValueError as error:
            raise LinkClosedError("the other end of the link sent a line that is too long") from error
        return _decode(line, self._decoder)

    async def __aiter__(self) -> AsyncIterator[In]:
        while (message := await self.receive()) is not None:
            yield message

    def close(self) -> None:
        """Closes this end; queued messages are still sent."""
        if self._writer is None:
            self._socket.close()
        else:
            self._writer.close()


class Link(_AsyncLines[ToChild, FromChild]):
    """An asyncio child's end."""

    @classmethod
    def open(cls) -> Link:
        """The link that this process inherited. Exits if it was not started by the supervisor."""
        return cls(_inherited_end(), _to_child)

    async def boot(self) -> Boot:
        """The first message. Raises LinkClosedError if the supervisor is gone already."""
        return _expect_boot(await self.receive())


class ChildLink(_AsyncLines[FromChild, ToChild]):
    """The supervisor's end."""

    @classmethod
    def pair(cls) -> tuple[ChildLink, socket.socket]:
        """Returns a link and the child's end, which the caller closes once the child has inherited it."""
        ours, theirs = socket.socketpair()
        return cls(ours, _from_child), theirs


class SyncLink:
    """A blocking child's end, with the methods of `Link`. `send` and iteration may use different threads."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._lines = end.makefile("rb")

    @classmethod
    def open(cls) -> SyncLink:
        """The link that this process inherited. Exits if it was not started by the supervisor."""
        return cls(_inherited_end())

    def boot(self) -> Boot:
        """The first message. Raises LinkClosedError if the supervisor is gone already."""
        return _expect_boot(self.receive())

    def send(self, message: FromChild) -> None:
        """Sends `message`. Raises LinkClosedError if the supervisor is gone."""
        try:
            self._socket.sendall(_encode(message))
        except OSError as error:
            raise LinkClosedError("the supervisor is gone") from error

    def receive(self) -> ToChild | None:
        """Returns the next message, or None at end of file."""
        try:
            line = self._lines.readline(MAX_LINE_BYTES)
        except ConnectionError:
            return None
        return _decode(line, _to_child)

    def __iter__(self) -> Iterator[ToChild]:
        while (message := self.receive()) is not None:
            yield message

    def fileno(self) -> int:
        """Returns the descriptor, to be polled together with others."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes this end."""
        self._lines.close()
        self._socket.close()


def _encode(message: Message) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _decode(line: bytes, decoder: msgspec.json.Decoder[In]) -> In | None:
    # A line without its end was cut by the death of the peer, and counts as end of file.
    if not line.endswith(b"\n"):
        return None
    try:
        return decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise LinkClosedError(f"the other end of the link sent no known message: {error}") from error


def _expect_boot(message: ToChild | None) -> Boot:
    if not isinstance(message, Boot):
        raise LinkClosedError("the supervisor is gone" if message is None else "the first message was not Boot")
    return message


def _inherited_end() -> socket.socket:
    # Removed from the environment, so that no process started by this one uses the link.
    number = os.environ.pop(LINK_FD_VARIABLE, "")
    if not number.isdecimal():
        raise SystemExit("error: this process is a part of Weebill\nhint: start Weebill with `weebill serve`")
    try:
        end = socket.socket(fileno=int(number))
    except OSError as error:
        raise SystemExit(f"error: {LINK_FD_VARIABLE}={number} is not an open socket: {error}") from error
    end.set_inheritable(False)
    return end
