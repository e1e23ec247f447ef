"""Processes that ingest, and that look for requests that were rated, until they are killed, and where such a process
says what it has done.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.opening import open_ledger
from weebill.storage.rating_search import RatingSearch
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester


def at_work(output: Path, work: Callable[..., None], *arguments: object) -> None:
    """Works, with this file as stdout."""
    with output.open("w") as file, redirect_stdout(file):
        work(*arguments)


def ingest_until_killed(home: Home, settings: DatabaseSettings) -> None:
    """Ingest again and again; each time is announced on stdout."""
    # Small batches: many transactions to be killed in.
    batch_bytes = 4096 if settings.url is None else 65_536
    ingester = Ingester(StoredUsage(open_ledger(home, settings)), home.journal, batch_bytes)
    while True:
        sys.stdout.write(".")
        sys.stdout.flush()
        ingester.run()


def look_until_killed(home: Home, settings: DatabaseSettings) -> None:
    """Look for the requests that were rated, again and again; each time is announced on stdout."""
    search = RatingSearch(open_ledger(home, settings), lambda: time.sleep(0.001))
    while True:
        sys.stdout.write(".")
        sys.stdout.flush()
        search.look()
        time.sleep(0.005)
