"""The load of one server, as the policies of this worker count it."""

from __future__ import annotations

from weebill.routing.servers import Load


class ServerLoad:
    """The load that a server has reported, and the requests of this worker that have begun and ended since.

    Without the latter, all requests between two reports would go to the server that was the least busy at the first.
    """

    __slots__ = ("_more", "_reported")

    def __init__(self, reported: Load | None = None) -> None:
        self._reported = reported
        self._more = 0

    def report(self, load: Load | None) -> None:
        """Takes over what the server reports; None if its load is no longer known."""
        self._reported = load
        self._more = 0

    def began(self) -> None:
        """Notes that this worker sends a request."""
        self._more += 1

    def ended(self) -> None:
        """Notes that a request of this worker has ended."""
        self._more -= 1

    @property
    def known(self) -> bool:
        """True if the server's load is known."""
        return self._reported is not None

    @property
    def waiting(self) -> int:
        """The requests that wait. One that has begun since the report counts as waiting, one that has ended makes room
        for another.
        """
        return max(0, self._more + (0 if self._reported is None else self._reported.waiting))

    @property
    def requests(self) -> int:
        """All requests that it has."""
        reported = 0 if self._reported is None else self._reported.waiting + self._reported.running
        return max(0, self._more + reported)

    @property
    def cache_use(self) -> float:
        """The used share of its cache of keys and values, by the report."""
        return 0.0 if self._reported is None else self._reported.cache_use
