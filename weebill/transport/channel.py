"""The parts of a client connection that an exchange uses."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod

from weebill.transport.duplex import Duplex
from weebill.transport.flow import FlowControl
from weebill.transport.server_state import ServerState
from weebill.wire.errors import ApiError


class Channel(FlowControl, metaclass=ABCMeta):
    """A client connection, as the exchange under way sees it; `secure` is True for TLS."""

    __slots__ = ("secure", "server")

    def __init__(self, server: ServerState) -> None:
        super().__init__()
        self.server = server
        self.secure = False

    @property
    def peer(self) -> str:
        """The client's address without port; empty on a Unix socket."""
        name = self.transport.get_extra_info("peername")
        return str(name[0]) if isinstance(name, tuple) and name else ""

    @property
    @abstractmethod
    def accepts_more(self) -> bool:
        """True if another request may follow the one being answered."""

    @abstractmethod
    def body_wanted(self) -> None:
        """Notes that the handler reads the body; a client that waits for `100 Continue` gets it."""

    @abstractmethod
    def refuse(self, error: ApiError) -> None:
        """Answers a request that cannot be served, cancels its handler if there is one, and closes."""

    @abstractmethod
    def upgrade(self, head: bytes) -> Duplex:
        """Switches to the raw stream; `head` is the response's."""

    @abstractmethod
    def cut(self, *, reset: bool = False) -> None:
        """Closes at once, dropping unsent data; with `reset`, so that it does not look like a clean end."""

    @abstractmethod
    def response_ended(self) -> None:
        """Notes that the exchange's last byte is written, and that it is complete."""

    @abstractmethod
    def handler_ended(self) -> None:
        """Notes that the exchange's handler has returned, or was cancelled."""
