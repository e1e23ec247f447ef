"""The raw byte stream that a connection becomes after a 101."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol


class Duplex(Protocol):
    """Bytes both ways, with backpressure on each."""

    @abstractmethod
    async def read(self) -> bytes:
        """What arrived since last time; empty at the end."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send; nothing once closed."""

    @abstractmethod
    async def drain(self) -> None:
        """Wait while the peer's buffer is over the high-water mark."""

    @abstractmethod
    def close(self) -> None:
        """Close after what was written has been sent; idempotent."""
