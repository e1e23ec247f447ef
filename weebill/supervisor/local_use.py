"""The supervisor's side of what workers say of the local models: what they want, use and wait for.

All workers are told how long the others keep a host, so that each can tell its clients how long that will stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from weebill.process.messages import Adapters, FromChild, InUse, Kept, ToChild, Wanted
from weebill.supervisor.child import Child
from weebill.supervisor.pool import Pool
from weebill.supervisor.turns import Turns

# Workers say as often what they use.
_NEWS_S: Final = 0.25


class LocalUse:
    """The use that the `workers` make of a pool. Belongs to one event loop."""

    def __init__(self, pool: Pool, workers: Callable[[], Collection[Child]]) -> None:
        self._pool = pool
        self._workers = workers
        self._turns = Turns(self._tell)
        self._news: asyncio.TimerHandle | None = None

    def hear(self, worker: str, message: FromChild) -> None:
        """Handles a message of a worker."""
        match message:
            case Wanted(model=model):
                self._pool.want(model)
            case InUse(models=models, keep_s=keep_s):
                self._pool.in_use(models, keep_s, worker)
                self._tell_soon()
            case Adapters():
                self._turns.hear(worker, message)

    def forget(self, worker: str) -> None:
        """Forgets what a process wanted that has ended."""
        self._pool.forget(worker)
        self._turns.forget(worker)
        self._tell_soon()

    def kept(self, worker: str) -> Kept:
        """Returns how long the other workers keep each host."""
        left = self._pool.kept_without(worker)
        return Kept(hosts=tuple(left), keep_s=tuple(left.values()))

    def _tell_soon(self) -> None:
        if self._news is None and len(self._workers()) > 1:
            self._news = asyncio.get_running_loop().call_later(_NEWS_S, self._tell_kept)

    def _tell_kept(self) -> None:
        self._news = None
        for worker in self._workers():
            worker.tell(self.kept(worker.name))

    def _tell(self, worker: str, message: ToChild) -> None:
        for child in self._workers():
            if child.name == worker:
                child.tell(message)
