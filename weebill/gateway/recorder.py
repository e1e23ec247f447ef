"""The usage records of one worker: written to its journal, and counted."""

from __future__ import annotations

import logging

from weebill.gateway.failures import unmetered
from weebill.gateway.meter import Meter
from weebill.telemetry.counters import Counters
from weebill.usage.journal import JournalError, JournalWriter
from weebill.usage.records import Outcome
from weebill.wire.errors import ApiError

log = logging.getLogger(__name__)


class Recorder:
    """Writes the usage records of one worker, and counts them."""

    def __init__(self, journal: JournalWriter, counters: Counters) -> None:
        self.journal = journal
        self._counters = counters

    @property
    def recording(self) -> bool:
        """Whether usage can be recorded at present."""
        return self.journal.writable()

    def require_writable(self) -> None:
        """Raise ApiError 503 while nothing can be recorded: what cannot be metered is not served."""
        if not self.journal.writable():
            raise unmetered()

    def settle(self, meter: Meter, status: int, outcome: Outcome) -> None:
        """Write the usage record, once. Raises ApiError 503 if it cannot be written."""
        record = meter.settle(status, outcome)
        if record is None:
            return
        self._counters.of_request(meter.endpoint, status, meter.upstream, outcome, meter.model_served).count(
            record.total_us, record.first_byte_us, record.prompt_tokens, record.cached_tokens, record.completion_tokens
        )
        try:
            self.journal.append(record, meter.slot)
        except JournalError as error:
            self._counters.journal_failures.add()
            raise unmetered() from error

    def settle_unheard(self, meter: Meter, status: int, outcome: Outcome) -> None:
        """Settle where there is nobody left to tell that it failed."""
        try:
            self.settle(meter, status, outcome)
        except ApiError as error:
            log.error("a usage record was lost: %s", error)
