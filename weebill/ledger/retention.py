"""Deletes the single requests that are not to be kept any more, in a thread of its own beside ingestion."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.ledger.patient import PatientThread
from weebill.storage.database import Database
from weebill.storage.usage_retention import Sweeper

INTERVAL_S: Final = 60.0
_FAILED: Final = "requests that are kept long enough cannot be deleted"

log = logging.getLogger(__name__)


class RetentionThread(PatientThread):
    """Sweeps once a minute until `finish`. What cannot be deleted now is tried again the next time."""

    def __init__(self, home: Home, database: DatabaseSettings, interval_s: float = INTERVAL_S) -> None:
        super().__init__("retention", home, database, interval_s, _FAILED)

    def prepared(self, ledger: Database, pause: Callable[[], None]) -> Callable[[], None]:
        """Returns a sweep."""
        sweeper = Sweeper(ledger, pause)

        def sweep() -> None:
            deleted = sweeper.sweep()
            if deleted:
                log.info("%d requests were kept long enough, and are deleted", deleted)

        return sweep
