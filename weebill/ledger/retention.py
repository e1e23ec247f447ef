"""Deletes the single requests that are not to be kept any more, in a thread of its own beside ingestion."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.ledger.ingestion import yield_to_others
from weebill.storage.opening import open_ledger
from weebill.storage.usage_retention import Sweeper

INTERVAL_S: Final = 60.0
_REST: Final = 4  # after each transaction, for so many times as long as it took

log = logging.getLogger(__name__)


class RetentionThread(threading.Thread):
    """Sweeps once a minute until `finish`. What cannot be deleted now is tried again the next time."""

    def __init__(self, home: Home, database: DatabaseSettings, interval_s: float = INTERVAL_S) -> None:
        super().__init__(name="retention", daemon=True)
        self._home = home
        self._database = database
        self._interval_s = interval_s
        self._finishing = threading.Event()
        self._healthy = True
        self._paused_at = 0.0

    def run(self) -> None:
        """Sweeps until `finish` is called."""
        yield_to_others()
        while not self._finishing.wait(self._interval_s):
            try:
                self._sweep_until_it_fails()
            except _FinishingError:
                return
            except Exception as error:  # any error: without this thread, nothing would ever be deleted
                if self._healthy:
                    trace = None if isinstance(error, LedgerError | OSError) else error
                    log.error("requests that are kept long enough cannot be deleted: %s", error, exc_info=trace)
                self._healthy = False

    def finish(self, timeout_s: float) -> None:
        """Stops after the present transaction."""
        self._finishing.set()
        self.join(timeout_s)

    def _sweep_until_it_fails(self) -> None:
        with open_ledger(self._home, self._database) as ledger:
            sweeper = Sweeper(ledger, self._pause)
            while True:
                self._paused_at = time.monotonic()
                deleted = sweeper.sweep()
                if deleted:
                    log.info("%d requests were kept long enough, and are deleted", deleted)
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
