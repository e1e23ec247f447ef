"""What an exchange needs of the connection that it came by."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod

from weebill.transport.duplex import Duplex
from weebill.transport.flow import FlowControl
from weebill.transport.server_state import ServerState
from weebill.wire.errors import ApiError


class Channel(FlowControl, metaclass=ABCMeta):
    """A client connection as the exchange under way on it sees it; `secure` is whether it is one over TLS."""

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
    def can_go_on(self) -> bool:
        """Tells whether another request may follow the one being answered."""

    @abstractmethod
    def body_wanted(self) -> None:
        """The handler reads the body: the client that waits for `100 Continue` gets it."""

    @abstractmethod
    def refuse(self, error: ApiError) -> None:
        """Answer a request that cannot be served, cancel its handler if there is one, and close."""

    @abstractmethod
    def upgrade(self, head: bytes) -> Duplex:
        """Switch to the raw stream; `head` is the response's."""

    @abstractmethod
    def cut(self, *, reset: bool = False) -> None:
        """Close at once, whatever is unsent; `reset` makes sure that it does not look like a clean end."""

    @abstractmethod
    def response_ended(self) -> None:
        """The exchange's last byte is written, and it is complete."""

    @abstractmethod
    def handler_ended(self) -> None:
        """The exchange's handler has returned, or been cancelled, and its task is gone."""
