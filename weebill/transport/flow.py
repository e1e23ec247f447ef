"""Backpressure: received but not consumed bytes, and written but not sent bytes."""

from __future__ import annotations

import asyncio
from abc import ABCMeta, abstractmethod
from collections.abc import Callable

from weebill.transport.limits import READ_HIGH_WATER


class Inbox:
    """Bytes from a socket for one reader, coalesced.

    Reading from the socket stops while more than `READ_HIGH_WATER` bytes wait here. Iterating yields the bytes since
    the last step, and ends when the sender's framing says so; a failure is raised after the bytes that came before it.
    `abandon`, if given, is called when the reader is cancelled while it waits.
    """

    __slots__ = ("_abandon", "_error", "_parts", "_transport", "_waiter", "ended", "paused", "size")

    def __init__(self, transport: asyncio.Transport, abandon: Callable[[], None] | None = None) -> None:
        self._transport = transport
        self._abandon = abandon
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self.ended = False
        self.paused = False
        self.size = 0

    def put(self, data: bytes) -> None:
        """Adds received bytes."""
        self._parts.append(data)
        self.size += len(data)
        if self.size > READ_HIGH_WATER and not self.paused and not self._transport.is_closing():
            self.paused = True
            self._transport.pause_reading()
        if self._waiter is not None:
            self._wake()

    def end(self, error: Exception | None = None) -> None:
        """Notes the end: complete, or broken by `error`; only the first call counts."""
        if self.ended:
            return
        self.ended = True
        self._error = error
        self._resume()
        if self._waiter is not None:
            self._wake()

    @property
    def failure(self) -> Exception | None:
        """The failure that broke it; None while it goes on, and if it is complete."""
        return self._error

    async def get(self) -> bytes:
        """Returns the bytes since the last call, at least one; b"" at the end."""
        while not self._parts:
            if self.ended:
                if self._error is not None:
                    raise self._error
                return b""
            await self._wait()
        return self._take()

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> bytes:
        if self._parts:
            return self._take()
        data = await self.get()
        if not data:
            raise StopAsyncIteration
        return data

    def _take(self) -> bytes:
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts = []
        self.size = 0
        if self.paused:
            self._resume()
        return data

    def _resume(self) -> None:
        if self.paused:
            self.paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        except asyncio.CancelledError:
            if self._abandon is not None:
                self._abandon()
            raise
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Once:
    """Iterates once, over bytes that are there already."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __aiter__(self) -> Once:
        return self

    async def __anext__(self) -> bytes:
        data, self._data = self._data, b""
        if not data:
            raise StopAsyncIteration
        return data


class FlowControl:
    """An `asyncio.Protocol` whose writer can wait until the peer keeps up.

    It does not inherit from it: compiled, its attributes are then found without a look-up.
    """

    __slots__ = ("_drained", "transport", "write_paused")

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.write_paused = False
        self._drained: asyncio.Future[None] | None = None

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def drain(self) -> None:
        """Waits while the write buffer is over the high-water mark; returns at once when the connection is gone."""
        if not self.write_paused:
            return
        if self._drained is None or self._drained.done():
            self._drained = asyncio.get_running_loop().create_future()
        # Several writers may wait; a cancelled one must not cancel the others.
        await asyncio.shield(self._drained)


class Source(FlowControl, metaclass=ABCMeta):
    """A connection that fills inboxes, one after another; calls for an earlier inbox do nothing."""

    __slots__ = ()

    @abstractmethod
    def abandon(self, inbox: Inbox) -> None:
        """Breaks off an incomplete answer, as its reader has left."""

    @abstractmethod
    def release(self, inbox: Inbox) -> None:
        """Drops the rest of an answer, as its reader needs no more; it may arrive for a moment."""

    @abstractmethod
    def hasten(self, inbox: Inbox, within_s: float) -> None:
        """Limits the time in which the inbox is filled to `within_s` seconds from now; `inf` restores the
        usual limits.
        """
