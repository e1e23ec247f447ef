"""The thread that ingests usage, where the ledger cannot be used for a while."""

from __future__ import annotations

import threading

import pytest

from tests.fixtures.databases import rows
from tests.fixtures.ledger import SQLITE
from tests.usage.journal_process import make_record
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings, MeteringSettings
from weebill.ledger import ingestion
from weebill.ledger.ingestion import IngestThread
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.usage.journal import JournalWriter


def test_what_waits_for_a_ledger_that_is_back_is_ingested_at_the_end(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two attempts, seconds apart, there is time for the ledger to come back, and for the end."""
    failed, back = threading.Event(), threading.Event()

    def opened(*of: object, **how: object) -> Database:
        if not back.is_set():
            failed.set()
            raise LedgerError("away")
        return open_ledger(home, SQLITE)

    monkeypatch.setattr(ingestion, "open_ledger", opened)
    monkeypatch.setattr(ingestion, "_RETRY_S", 600.0)
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.append(make_record("a"))
    journal.close()
    thread = IngestThread(home, DatabaseSettings(), 0.01)
    thread.start()
    assert failed.wait(20)
    back.set()
    thread.finish(20)
    assert not thread.is_alive()
    with open_ledger(home, SQLITE) as ledger:
        assert rows(ledger, "SELECT request_id FROM usage") == [("a",)]
