"""Rows of the audit log about what is not in the ledger: models of this machine, and adapters of servers.

Each is written before the act is tried, as both cannot be one transaction: so there is no act without a row, but there
may be a row of an act that failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from starlette.concurrency import run_in_threadpool

from weebill.accounts.audit import Act, Author
from weebill.control.refusals import answering
from weebill.storage.audit import record
from weebill.storage.database import Database


class Noting:
    """Writes such rows."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger

    async def note(self, author: Author, action: str, target: str, after: Mapping[str, object] | None = None) -> None:
        """Writes a row. Raises LedgerUnavailable: then nothing is to be done."""
        act = Act(action=action, target=target, after=after)
        with answering():
            await run_in_threadpool(self._ledger.change, partial(record, author=author, act=act))
