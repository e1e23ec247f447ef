"""The raw byte stream of a connection after a 101."""

from __future__ import annotations

from weebill.transport.flow import FlowControl, Inbox


class Duplex:
    """A byte stream in both directions, each with backpressure."""

    __slots__ = ("_connection", "_inbox")

    def __init__(self, connection: FlowControl, inbox: Inbox) -> None:
        self._connection = connection
        self._inbox = inbox

    async def read(self) -> bytes:
        """Returns the bytes since the last call; b"" at the end."""
        return await self._inbox.get()

    def write(self, data: bytes) -> None:
        """Sends bytes; does nothing once closed."""
        if not self._connection.transport.is_closing():
            self._connection.transport.write(data)

    async def drain(self) -> None:
        """Waits while the peer's buffer is over the high-water mark."""
        await self._connection.drain()

    def close(self) -> None:
        """Closes after all that was written has been sent; idempotent."""
        self._inbox.end()
        self._connection.transport.close()
