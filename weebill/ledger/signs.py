"""Signs of life: which of the workers that have borrowed have their journals on this machine."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import Final

from weebill.config.ledger_errors import LedgerError
from weebill.limits.machines import BEAT_S
from weebill.storage.database import Database
from weebill.storage.machines import are_known, forget_gone, hear_of
from weebill.storage.usage import forget_ends
from weebill.usage.intents import INTENTS_SUFFIX
from weebill.usage.journal import SEGMENT_SUFFIX
from weebill.usage.recovery import writer_of

_DAY_S: Final = 86_400
_FORGET_S: Final = 62 * _DAY_S
_SUFFIXES: Final = (SEGMENT_SUFFIX, INTENTS_SUFFIX)

log = logging.getLogger(__name__)


class SignsThread(threading.Thread):
    """Gives a sign every `interval_s` seconds until `finish`. One that fails is missing: the next one says as much."""

    def __init__(self, ledger: Database, machine: str, journal: Path, interval_s: float = BEAT_S) -> None:
        super().__init__(name="signs", daemon=True)
        self._ledger = ledger
        self._machine = machine
        self._journal = journal
        self._interval_s = interval_s
        self._finishing = threading.Event()
        self._forget_at = 0.0

    def run(self) -> None:
        """Gives signs until `finish` is called."""
        while True:
            if time.monotonic() >= self._forget_at:
                self._forget()
                self._forget_at = time.monotonic() + _DAY_S
            self.give()
            if self._finishing.wait(self._interval_s):
                return

    def finish(self, timeout_s: float) -> None:
        """Stops after the present sign."""
        self._finishing.set()
        self.join(timeout_s)

    def give(self) -> None:
        """Says once who is here."""
        try:
            here = {writer_of(each) for each in os.listdir(self._journal) if each.endswith(_SUFFIXES)}
            if not here or not self._ledger.read(lambda connection: are_known(connection, here)):
                return
            released = self._ledger.change(lambda connection: hear_of(connection, self._machine, here))
        except Exception as error:  # any error: without this thread, machines that live would seem to be gone
            trace = None if isinstance(error, LedgerError | OSError) else error
            log.warning("no sign of life can be given: %s", error, exc_info=trace)
            return
        lost = [each for each in released if each is not None]
        if lost:
            log.warning(
                "this machine was taken for lost: what %d of its workers held of limits was released at %s. What they "
                "have used since then is settled all the same, beyond the limit if it must be",
                len(lost),
                time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(max(lost))),
            )

    def _forget(self) -> None:
        before = int(time.time()) - _FORGET_S
        try:
            self._ledger.change(lambda connection: forget_gone(connection, before))
            self._ledger.change(lambda connection: forget_ends(connection, before))
        except LedgerError as error:
            log.info("what is gone for long cannot be forgotten: %s", error)
