"""Ingests usage in a thread of its own, so that no answer waits for it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.opening import open_ledger
from weebill.storage.sqlite.opening import BUSY_TIMEOUT_S
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester
from weebill.usage.recovery import Cost, no_cost

_RETRY_S = 1.0
_NICENESS = 10
# If the ledger is locked, one turn waits for it up to four times, to open and to close it, and then ends.
LONGEST_TURN_S = 6 * BUSY_TIMEOUT_S

log = logging.getLogger(__name__)


class IngestThread(threading.Thread):
    """Ingests every `interval_s` seconds until `finish`. After a failure it tries again; journals keep the records."""

    def __init__(self, home: Home, database: DatabaseSettings, interval_s: float, cost: Cost = no_cost) -> None:
        super().__init__(name="ingest", daemon=True)
        self._home = home
        self._database = database
        self._cost = cost
        self._finishing = threading.Event()
        self._healthy = True
        self._moves_until = time.monotonic() + LONGEST_TURN_S
        self.interval_s = interval_s

    @property
    def moves(self) -> bool:
        """True if it has lately ended a turn, with or without an error, or made progress within a long one."""
        return self.is_alive() and time.monotonic() < self._moves_until

    def run(self) -> None:
        """Ingests until `finish` is called, and then once more."""
        yield_to_others()
        last = False
        while True:
            try:
                self._ingest()
                return
            except Exception as error:  # any error: without this thread the journals would fill up unnoticed
                self._report(error)
            if last:
                return
            last = self._pause(_RETRY_S)  # the ledger may be back by then

    def finish(self, timeout_s: float) -> None:
        """Ingests the remaining records and stops; after `timeout_s`, the rest is left to the next start."""
        self._finishing.set()
        self.join(timeout_s)

    def _ingest(self) -> None:
        # Its own: it shares nothing with those who answer questions, whom a batch would keep waiting.
        with open_ledger(self._home, self._database, working=self._move) as ledger:
            ledger.change(lambda _: yield_to_others())  # PostgreSQL is used by a thread of its own
            ingester = Ingester(StoredUsage(ledger), self._home.journal, cost=self._cost)
            last = False
            while not last:
                last = self._pause(self.interval_s)
                ingester.run()
                if not self._healthy:
                    log.info("usage is ingested again")
                    self._healthy = True

    def _pause(self, interval_s: float) -> bool:
        """Waits; returns True if it is to finish."""
        self._moves_until = time.monotonic() + interval_s + LONGEST_TURN_S
        return self._finishing.wait(interval_s)

    def _move(self) -> None:
        self._moves_until = time.monotonic() + LONGEST_TURN_S

    def _report(self, error: Exception) -> None:
        if self._healthy:
            trace = None if isinstance(error, LedgerError | OSError) else error
            log.error("usage cannot be ingested and waits in the journals: %s", error, exc_info=trace)
            self._healthy = False


def yield_to_others() -> None:
    """Lowers the thread's priority below the gateway workers', so that no request waits for ingestion."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
