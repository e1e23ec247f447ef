"""Writes the usage records and ratings of one worker to its journal, and counts the records."""

from __future__ import annotations

import logging

from weebill.gateway.failures import unmetered
from weebill.gateway.meter import Meter
from weebill.telemetry.counters import Counters
from weebill.usage.journal import JournalError, JournalWriter
from weebill.usage.records import Outcome, Rating
from weebill.wire.errors import ApiError

log = logging.getLogger(__name__)


class Recorder:
    """Writes the usage records of one worker, and counts them."""

    def __init__(self, journal: JournalWriter, counters: Counters) -> None:
        self.journal = journal
        self._counters = counters

    @property
    def recording(self) -> bool:
        """True if usage can be recorded now."""
        return self.journal.writable()

    def require_writable(self) -> None:
        """Raises ApiError 503 while nothing can be recorded: unmetered requests are not served."""
        if not self.journal.writable():
            raise unmetered()

    def settle(self, meter: Meter, status: int, outcome: Outcome) -> None:
        """Writes the usage record, once. Raises ApiError 503 if it cannot be written."""
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
        hold = meter.hold
        if hold is not None:  # what has no record stays reserved until this process ends
            hold.settle(outcome, record.prompt_tokens + record.completion_tokens, record.cost_nano or 0)

    def keep(self, rating: Rating) -> None:
        """Writes a rating. Raises ApiError 503 if it cannot be written."""
        try:
            self.journal.append(rating)
        except JournalError as error:
            raise unmetered() from error

    def settle_unanswered(self, meter: Meter, status: int, outcome: Outcome) -> None:
        """Settles a request with no client left to tell that the record could not be written; that is logged."""
        try:
            self.settle(meter, status, outcome)
        except ApiError as error:
            log.error("a usage record was lost: %s", error)
