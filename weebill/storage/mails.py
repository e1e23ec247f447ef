"""Mails that are to be sent, in the ledger until they are. Sealed, as they have tokens in them."""

from __future__ import annotations

import secrets
import time
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, insert, not_, select, update

from weebill.accounts.sealing import SealedError
from weebill.storage.database import Database
from weebill.storage.sealing import MAIL, Vault
from weebill.storage.tables.sign_in import MAILS

MOST: Final = 1000
ATTEMPTS: Final = 8
_LEASE_S: Final = 300
_FIRST_WAIT_S: Final = 30
_LONGEST_WAIT_S: Final = 3600
_DAY_S: Final = 86_400


class Mail(msgspec.Struct, frozen=True):
    """A mail: to one address, in plain text."""

    to: str
    subject: str
    text: str


class Due(NamedTuple):
    """A mail that is to be sent now, by whoever has claimed it; `attempts` have failed."""

    id: str
    mail: Mail
    attempts: int


class MailQueueFullError(Exception):
    """There are `MOST` mails already."""


class StoredMails:
    """The queue. Methods raise LedgerError."""

    def __init__(self, ledger: Database, vault: Vault) -> None:
        self._ledger = ledger
        self._vault = vault

    def put(self, mail: Mail) -> None:
        """Keeps a mail until it is sent. Raises MailQueueFullError."""
        self._ledger.change(lambda connection: put(connection, self._vault, mail))

    def claim(self) -> Due | None:
        """Returns a mail that is due; nobody else gets it for five minutes, or until it is put back.

        Those that another master key opens are left to who has it. One that was changed is forgotten; raises
        SealedError then.
        """
        now, ours = int(time.time()), not_(self._foreign())

        def change(connection: Connection) -> tuple[str, bytes, int] | None:
            first = select(MAILS).where(MAILS.c.due_at <= now, ours).order_by(MAILS.c.due_at, MAILS.c.id).limit(1)
            row = connection.execute(first).one_or_none()
            if row is None:
                return None
            unclaimed = (MAILS.c.id == row.id, MAILS.c.due_at == row.due_at)
            claimed = connection.execute(update(MAILS).where(*unclaimed).values(due_at=now + _LEASE_S)).rowcount
            return (row.id, row.sealed, row.attempts) if claimed else None

        following = self.next_at()
        if following is None or following > now:
            return None  # without a change, which would lock the ledger
        found = self._ledger.change(change)
        if found is None:
            return None
        id_, sealed, attempts = found
        try:
            mail = msgspec.json.decode(self._vault.open(MAIL.place(id_), sealed), type=Mail)
        except SealedError:
            self.sent(id_)  # nobody will ever read it
            raise
        return Due(id_, mail, attempts)

    def sent(self, id_: str) -> None:
        """Forgets a mail, which was sent or is given up."""
        self._ledger.change(lambda connection: connection.execute(delete(MAILS).where(MAILS.c.id == id_)))

    def put_back(self, due: Due) -> None:
        """Has a mail sent again later, each time after twice as long."""
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S << due.attempts)
        values = {"due_at": int(time.time()) + wait_s, "attempts": due.attempts + 1}
        self._ledger.change(
            lambda connection: connection.execute(update(MAILS).where(MAILS.c.id == due.id).values(values))
        )

    def next_at(self) -> int | None:
        """Returns when the next mail is due that can be opened here."""
        next_ = select(func.min(MAILS.c.due_at)).where(not_(self._foreign()))
        return self._ledger.read(lambda connection: connection.execute(next_).scalar())

    def _foreign(self) -> ColumnElement[bool]:
        return _foreign(self._vault)


def put(connection: Connection, vault: Vault, mail: Mail) -> None:
    """Keeps a mail until it is sent, within a change. Raises MailQueueFullError, SealedError.

    Those that nobody with the master key has sent for a day are forgotten.
    """
    id_, now = f"mail_{secrets.token_hex(8)}", int(time.time())
    connection.execute(delete(MAILS).where(_foreign(vault), MAILS.c.created_at < now - _DAY_S))
    if connection.execute(select(func.count()).select_from(MAILS)).scalar_one() >= MOST:
        raise MailQueueFullError
    sealed = vault.seal(connection, MAIL.place(id_), msgspec.json.encode(mail))
    connection.execute(insert(MAILS).values(id=id_, sealed=sealed, created_at=now, due_at=now, attempts=0))


def _foreign(vault: Vault) -> ColumnElement[bool]:
    """Returns the condition that a mail is sealed with a master key that is not here."""
    ours = vault.keys()
    return MAIL.sealed_otherwise([key.id for key in ours])
