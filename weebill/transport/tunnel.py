"""Relays requests that are not the hot path to the control process over its Unix socket."""

from __future__ import annotations

from weebill.transport.client import Client
from weebill.transport.exchange import Exchange


class Tunnel:
    """The way to the control process, upgrades included."""

    def __init__(self, client: Client, socket_path: str) -> None:
        raise NotImplementedError

    async def relay(self, exchange: Exchange) -> None:
        """Answer the exchange with what the control process says; ApiError 503 `control_unavailable` if it is down."""
        raise NotImplementedError
