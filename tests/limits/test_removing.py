"""Limits that are taken out of force by several at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.fixtures.databases import rows
from weebill.limits.limit import UnknownLimitError
from weebill.limits.setting import Limits
from weebill.storage.database import Database
from weebill.storage.limits import StoredLimits


def test_a_limit_is_removed_once(ledger: Database) -> None:
    limits, at_once = Limits(StoredLimits(ledger)), threading.Barrier(6)
    limit = limits.set("proj_default", "requests", "day", 10)

    def remove(_: int) -> bool:
        at_once.wait()
        try:
            return limits.remove(limit.id) == limit
        except UnknownLimitError:
            return False

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(remove, range(6))) == 1
    assert rows(ledger, "SELECT count(*) FROM audit_log WHERE action = 'limit.removed'") == [(1,)]
