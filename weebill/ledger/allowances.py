"""The topic of allowances: lends them to the workers of this machine, and calls them back.

A lease exists only while its borrower has a file in the journal of its machine, whose last file goes after the lease
(`weebill.usage.ingest`). So a question of a worker that has died meanwhile is not answered: nobody would end its lease.

One whose leases were ended all the same, as somebody had a copy of its journal settled, has another account from then
on, and so begins anew, as with another ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw
from sqlalchemy import Connection

from weebill.config.ledger_errors import LedgerError
from weebill.limits.questions import Borrow, Lent, Recalled
from weebill.process.questions import Position, Unanswered, encode
from weebill.storage.allowances import borrow, lock_borrower, recalled_since, release
from weebill.storage.database import Database
from weebill.storage.machines import account_of, note_borrower
from weebill.storage.versions import ALLOWANCES_VERSION, Positions, positions
from weebill.usage.intents import INTENTS_SUFFIX
from weebill.usage.segments import is_left

_MOST_NOTED: Final = 1024
_MAX_RECALLED: Final = 1000  # with more, all that workers do not use goes back

_decode: Final = msgspec.msgpack.Decoder(Borrow).decode
_decode_position: Final = msgspec.msgpack.Decoder(Position).decode


class Allowances:
    """Lends allowances to workers of a machine that write to the folder `journal`."""

    def __init__(self, ledger: Database, positions: Positions, journal: Path, machine: str) -> None:
        self._ledger = ledger
        self._positions = positions
        self._journal = journal
        self._machine = machine
        self._noted: set[tuple[str, str]] = set()  # of which ledger, and who

    def answer(self, question: Raw) -> bytes:
        """Returns the `Lent` for a `Borrow`. Raises Unanswered."""
        asked = _decode(question)

        def change(connection: Connection) -> tuple[str, Lent]:
            lock_borrower(connection, asked.borrower)
            self._require_alive(asked.borrower)
            source = self._ledger.source(connection)
            noted = (source, asked.borrower) in self._noted
            account = account_of(connection, asked.borrower) if noted else None
            if account is None:
                if noted:  # what it has used since then is not in what it will say
                    release(connection, asked.borrower)
                account = note_borrower(connection, self._machine, asked.borrower)
                if noted:
                    return source, Lent(f"{source}/{account}", ())
            granted = borrow(connection, asked.borrower, asked.number, asked.wanted)
            return source, Lent(f"{source}/{account}", tuple(granted))

        try:
            source, lent = self._ledger.change(change)
        except LedgerError as error:
            raise Unanswered(error.advised) from error
        if len(self._noted) >= _MOST_NOTED:
            self._noted.clear()
        self._noted.add((source, asked.borrower))
        return encode(lent)

    def feed(self, position: Raw) -> RecallFeed:
        """Returns a feed of the limits of which others are short."""
        return RecallFeed(self._ledger, self._positions, _decode_position(position))

    def _require_alive(self, borrower: str) -> None:
        table = self._journal / f"{borrower}{INTENTS_SUFFIX}"
        if not table.exists() or is_left(table):
            raise Unanswered("the borrower is gone")


class RecallFeed:
    """Tells one worker of which limits others are short."""

    def __init__(self, ledger: Database, positions: Positions, known: Position) -> None:
        self._ledger = ledger
        self._positions = positions
        self._known = known

    def news(self) -> bytes | None:
        """Returns a `Recalled` if anybody has become short since the last call. Raises Unanswered."""
        try:
            if self._positions.now(ALLOWANCES_VERSION) == self._known:
                return None
            recalled = self._ledger.read(self._recalled)
        except LedgerError as error:
            raise Unanswered(error.advised) from error
        self._known = Position(recalled.source, recalled.version)
        return encode(recalled)

    def _recalled(self, connection: Connection) -> Recalled:
        now = positions(self._ledger, connection)[ALLOWANCES_VERSION]
        # Otherwise another ledger is there, or an older state of this one, or the worker has just begun.
        if now.source != self._known.source or now.version < self._known.version:
            return Recalled(now.source, now.version, None)
        found = recalled_since(connection, self._known.version, _MAX_RECALLED + 1)
        return Recalled(now.source, now.version, tuple(found) if len(found) <= _MAX_RECALLED else None)
