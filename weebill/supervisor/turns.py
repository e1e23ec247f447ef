"""The turns of several workers at a host, which works with one set of adapters at a time.

1. A worker says with which adapters it has requests (`Adapters`), and that it has none at work with others.
2. It has its turn (`Turn`) at once if those at work have the same ones, and nobody waits for others.
3. Otherwise it waits. Those at work are told that others do: they begin no more requests, and say when none is left.
4. Then it is the turn of the one that has waited longest, and of all that wait for the same adapters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from weebill.process.messages import Adapters, Turn

Tell = Callable[[str, Turn], None]
"""Tells a worker, by its name."""


class _Request(NamedTuple):
    adapters: str
    number: int


class _Host:
    """The workers of one host: those that may work, all with the same adapters, and those that wait, in order."""

    def __init__(self) -> None:
        self.working: dict[str, _Request] = {}
        self.waiting: dict[str, _Request] = {}
        self.told: set[str] = set()
        """Those at work that know that others wait."""

    def end(self, worker: str) -> None:
        """Forgets what a worker had or waited for."""
        self.working.pop(worker, None)
        self.waiting.pop(worker, None)
        self.told.discard(worker)


class Turns:
    """The turns at all hosts."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._hosts: dict[str, _Host] = {}

    def hear(self, worker: str, message: Adapters) -> None:
        """Takes over what a worker wants; what it had before is over."""
        host = self._hosts.setdefault(message.host, _Host())
        host.end(worker)
        if message.adapters is not None:
            host.waiting[worker] = _Request(message.adapters, message.number)
        self._advance(message.host, host)

    def forget(self, worker: str) -> None:
        """Forgets a worker that has ended."""
        for name, host in list(self._hosts.items()):
            host.end(worker)
            self._advance(name, host)

    def _advance(self, name: str, host: _Host) -> None:
        if host.waiting:
            now = next(iter((host.working or host.waiting).values())).adapters
            if all(each.adapters == now for each in host.waiting.values()) or not host.working:
                for worker in [worker for worker, each in host.waiting.items() if each.adapters == now]:
                    host.working[worker] = host.waiting.pop(worker)
                    self._tell(worker, Turn(host=name, number=host.working[worker].number, begins=True))
        if host.waiting:
            for worker in host.working.keys() - host.told:
                host.told.add(worker)
                self._tell(worker, Turn(host=name, number=host.working[worker].number, begins=False))
        if not host.working:
            del self._hosts[name]
