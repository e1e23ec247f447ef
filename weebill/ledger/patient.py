"""A thread that works on the ledger beside ingestion, and leaves it to others for most of the time."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.ledger.ingestion import yield_to_others
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger

_REST: Final = 4  # after each transaction, for so many times as long as it took

log = logging.getLogger(__name__)


class PatientThread(threading.Thread, ABC):
    """Works every `interval_s` seconds until `finish`. What fails is tried again the next time."""

    def __init__(self, name: str, home: Home, database: DatabaseSettings, interval_s: float, failed: str) -> None:
        """`failed` says what cannot be done, when an error is logged."""
        super().__init__(name=name, daemon=True)
        self._home = home
        self._database = database
        self._interval_s = interval_s
        self._failed = failed
        self._finishing = threading.Event()
        self._healthy = True
        self._paused_at = 0.0

    @abstractmethod
    def prepared(self, ledger: Database, pause: Callable[[], None]) -> Callable[[], None]:
        """Returns the work; it calls `pause` after each transaction. May raise any error."""

    def run(self) -> None:
        """Works until `finish` is called."""
        yield_to_others()
        while not self._finishing.wait(self._interval_s):
            try:
                self._work_until_it_fails()
            except _FinishingError:
                return
            except Exception as error:  # any error: without this thread, the work would never be done
                if self._healthy:
                    trace = None if isinstance(error, LedgerError | OSError) else error
                    log.error("%s: %s", self._failed, error, exc_info=trace)
                self._healthy = False

    def finish(self, timeout_s: float) -> None:
        """Stops after the present transaction."""
        self._finishing.set()
        self.join(timeout_s)

    def _work_until_it_fails(self) -> None:
        with open_ledger(self._home, self._database) as ledger:
            work = self.prepared(ledger, self._pause)
            while True:
                self._paused_at = time.monotonic()
                work()
                self._healthy = True
                if self._finishing.wait(self._interval_s):
                    return

    def _pause(self) -> None:
        """Leaves the ledger to others for several times as long as it was used. Raises _FinishingError."""
        took_s = time.monotonic() - self._paused_at
        if self._finishing.wait(_REST * took_s):
            raise _FinishingError
        self._paused_at = time.monotonic()


class _FinishingError(Exception):
    """The process ends."""
