"""Finds the requests that were rated, in a thread of its own beside ingestion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.ledger.patient import PatientThread
from weebill.storage.database import Database
from weebill.storage.rating_search import RatingSearch

INTERVAL_S: Final = 5.0
_FAILED: Final = "requests that were rated cannot be looked for"


class RatingThread(PatientThread):
    """Looks every few seconds until `finish`, and only if the ledger was changed."""

    def __init__(self, home: Home, database: DatabaseSettings, interval_s: float = INTERVAL_S) -> None:
        super().__init__("ratings", home, database, interval_s, _FAILED)

    def prepared(self, ledger: Database, pause: Callable[[], None]) -> Callable[[], None]:
        """Returns a look."""
        search = RatingSearch(ledger, pause)

        def look() -> None:
            search.look()

        return look
