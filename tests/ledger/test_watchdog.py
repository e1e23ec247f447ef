"""A ledger process under a supervisor's eye: it is replaced where usage is no longer taken in, not where it waits."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import sys
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.fixtures import supervised as process
from tests.fixtures import threads
from tests.fixtures.ledger import open_file
from tests.fixtures.records import write_records
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.ledger.role import ROLE
from weebill.process.messages import Boot
from weebill.storage.sqlite.opening import open_reader
from weebill.supervisor.child import Child

WAIT_S = 60.0
SILENCE_S = 1.0
# Much more than a turn of this ledger process and the silence after it.
LONG_S = 3.0


def supervised(home: Home) -> AbstractAsyncContextManager[Child]:
    """A ledger process that is ready."""
    role = replace(ROLE, command=(sys.executable, str(Path(__file__).with_name("impatient.py"))))
    boot = Boot(role="ledger", home=str(home.root), settings=Settings())
    return process.supervised(role, boot, SILENCE_S)


wait_for = partial(process.wait_for, seconds=WAIT_S)


def count_usage(home: Home) -> int:
    with closing(open_reader(home.database)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM usage").fetchall()[0][0])


def ingestion(process: psutil.Process) -> int:
    """The thread that lets all others go first."""
    return max((thread.id for thread in process.threads()), key=lambda thread: os.getpriority(os.PRIO_PROCESS, thread))


async def test_ingestion_that_hangs(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    async with supervised(home) as child:
        before = child.snapshot().pid
        assert before is not None
        # A ledger that is missing, or locked, is tried again and again.
        home.database.rename(home.root / "away")
        await asyncio.sleep(LONG_S)
        (home.root / "away").rename(home.database)
        with closing(sqlite3.connect(home.database, isolation_level=None)) as locker:
            locker.execute("BEGIN IMMEDIATE")
            write_records(home, 10)
            await asyncio.sleep(LONG_S)
            locker.execute("ROLLBACK")
        await wait_for(lambda: count_usage(home) == 10)
        assert child.snapshot().pid == before
        threads.loop(psutil.Process(before), ingestion(psutil.Process(before)))
        write_records(home, 20)
        await wait_for(lambda: count_usage(home) == 30)
        assert child.snapshot().pid != before
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == ["ledger: has not answered for 1 s; killing it, to start it again"]


def test_a_long_statement_tells_that_it_goes_on(home: Home) -> None:
    signs: list[None] = []
    with closing(open_file(home.database, lambda: signs.append(None))) as ledger:
        signs.clear()
        ledger.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500000) SELECT max(i) FROM n"
        )
    assert len(signs) > 5
