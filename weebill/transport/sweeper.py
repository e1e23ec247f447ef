"""One timer for all the deadlines of many connections."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar

from weebill.process.beats import until_beat


class Sweepable(Protocol):
    """An object with deadlines."""

    def sweep(self, now: float) -> None:
        """Acts on deadlines before `now` (the loop's time, seconds)."""


Member = TypeVar("Member", bound=Sweepable)


class Sweeper(Generic[Member]):
    """Checks the deadlines of its members at beats of `interval` seconds; sleeps while it has none.

    Deadlines are kept to within `interval`, at no cost for each request.
    """

    __slots__ = ("_loop", "_timer", "interval", "members")

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.members: set[Member] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, member: Member) -> None:
        self.members.add(member)
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(until_beat(self.interval), self._sweep)

    def discard(self, member: Member) -> None:
        self.members.discard(member)

    def _sweep(self) -> None:
        self._timer = None
        if not self.members or self._loop is None:
            return
        now = self._loop.time()
        for member in tuple(self.members):
            member.sweep(now)
        self._timer = self._loop.call_later(until_beat(self.interval), self._sweep)
