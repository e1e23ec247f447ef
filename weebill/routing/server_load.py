"""The load of one server, as the policies of this worker count it."""

from __future__ import annotations

from weebill.routing.servers import Load


class ServerLoad:
    """The load that a server has reported, and the requests that this worker has sent it since.

    Without the latter, all requests between two reports would go to the server that was the least busy at the first.
    """

    __slots__ = ("_reported", "_sent")

    def __init__(self, reported: Load | None = None) -> None:
        self._reported = reported
        self._sent = 0

    def report(self, load: Load | None) -> None:
        """Takes over what the server reports; None if its load is no longer known."""
        self._reported = load
        self._sent = 0

    def sent(self) -> None:
        """Notes that this worker sends a request."""
        self._sent += 1

    @property
    def known(self) -> bool:
        """True if the server's load is known."""
        return self._reported is not None

    @property
    def waiting(self) -> int:
        """The requests that wait, those that were sent since the report included."""
        return self._sent + (0 if self._reported is None else self._reported.waiting)

    @property
    def requests(self) -> int:
        """All requests that it has."""
        return self.waiting + (0 if self._reported is None else self._reported.running)

    @property
    def cache_use(self) -> float:
        """The used share of its cache of keys and values, by the report."""
        return 0.0 if self._reported is None else self._reported.cache_use
