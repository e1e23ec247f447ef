"""The raw byte stream that a connection becomes after a 101."""

from __future__ import annotations

from weebill.transport.flow import FlowControl, Inbox


class Duplex:
    """Bytes both ways, with backpressure on each."""

    __slots__ = ("_connection", "_inbox")

    def __init__(self, connection: FlowControl, inbox: Inbox) -> None:
        self._connection = connection
        self._inbox = inbox

    async def read(self) -> bytes:
        """What arrived since last time; empty at the end."""
        return await self._inbox.get()

    def write(self, data: bytes) -> None:
        """Send; nothing once closed."""
        if not self._connection.transport.is_closing():
            self._connection.transport.write(data)

    async def drain(self) -> None:
        """Wait while the peer's buffer is over the high-water mark."""
        await self._connection.drain()

    def close(self) -> None:
        """Close after what was written has been sent; idempotent."""
        self._inbox.end()
        self._connection.transport.close()
