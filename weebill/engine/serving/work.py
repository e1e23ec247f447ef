"""The thread that does the work of an engine, for the requests that it has room for; the others wait in order.

1. It answers those who wait for a sign of life.
2. It begins requests, as many as the engine works on at once.
3. It has the engine take a step, which is to be short: clients that leave, and signs of life, wait for it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Final, Protocol

from weebill.engine.serving.jobs import Job, RefusedError

_log: Final = logging.getLogger("weebill.engine")


class Worker(Protocol):
    """An engine's work. All methods are called in one thread."""

    @property
    def paths(self) -> Collection[str]:
        """The paths that it serves, by POST."""

    @property
    def parallel(self) -> int:
        """The number of requests that it works on at once."""

    def begin(self, job: Job) -> None:
        """Begins a job; may do all of it, if that takes tenths of a second at most. Raises RefusedError."""

    def step(self, jobs: Collection[Job]) -> None:
        """Works on `jobs`, all that were begun and are not done, until all have got on a little.

        Ends those that have left.
        """


class WorkLoop:
    """The thread of a worker and its queue."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._waiting: deque[Job] = deque()
        self._signs: list[Callable[[], None]] = []
        self._active: list[Job] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="work", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queues a job; the caller bounds how many there are."""
        with self._news:
            self._waiting.append(job)
            self._news.notify()

    def leave(self, job: Job) -> None:
        """Notes that a job's client is gone; one that waits is forgotten at once."""
        job.leave()
        with self._news:
            if job in self._waiting:
                self._waiting.remove(job)
            self._news.notify()

    @property
    def idle(self) -> bool:
        """True if there are no jobs."""
        with self._news:
            return not self._waiting and not self._active

    def wait_for_step(self) -> None:
        """Returns between two steps."""
        passed = threading.Event()
        with self._news:
            self._signs.append(passed.set)
            self._news.notify()
        passed.wait()

    def _run(self) -> None:
        while True:
            for job in self._next():
                self._guarded(partial(self._worker.begin, job), (job,))
            self._active = [job for job in self._active if not job.done]
            if self._active:
                self._guarded(partial(self._worker.step, self._active), self._active)
                self._active = [job for job in self._active if not job.done]

    def _next(self) -> list[Job]:
        """Waits for something to do, gives signs of life, and returns the jobs to begin."""
        with self._news:
            self._news.wait_for(lambda: self._signs or self._waiting or self._active)
            signs, self._signs = self._signs, []
            room = max(0, self._worker.parallel - len(self._active))
            begun = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
            self._active += begun
        for give in signs:
            give()
        return begun

    def _guarded(self, do: Callable[[], None], jobs: Collection[Job]) -> None:
        """Refuses jobs at which the engine fails, whatever it raises: others must go on."""
        error = RefusedError.failed()
        try:
            do()
            return
        except RefusedError as refused:
            error = refused
        except BaseException as failed:
            # What it says may quote from a request.
            place = failed.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            where = "" if place is None else f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}"
            _log.error("the engine failed at a request", extra={"error": type(failed).__name__, "where": where})
        for job in jobs:
            if not job.done:
                job.refuse(error)
