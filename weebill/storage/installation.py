"""The pepper that the keys of a ledger are made with: the ledger has a hash of it, and so notices another one."""

from __future__ import annotations

import time
from contextlib import suppress
from hashlib import blake2b
from typing import Final

from sqlalchemy import Connection, not_, or_, select, update

from weebill.accounts.audit import Act, Author, command_line
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.storage.audit import INSTALLED, record
from weebill.storage.database import Database
from weebill.storage.tables.ledger import API_KEYS, INSTALLATION
from weebill.storage.versions import KEYS_VERSION, raise_version

_PERSON: Final = b"weebill.pepper"


class OtherPepperError(LedgerError):
    """The keys of a ledger are made with the pepper of another installation, so none of them would be recognised."""

    def __init__(self, home: Home) -> None:
        super().__init__(
            f"The ledger's keys are made with another {home.pepper.name} than {home.pepper}: none would be recognised."
        )
        self.hint = (
            f"put the {home.pepper.name} of the ledger's installation there; "
            "if it is lost, `weebill db rekey` revokes all keys and begins with this one"
        )


def pepper_hash(pepper: bytes) -> bytes:
    """Returns what the ledger knows a pepper by; 32 random bytes cannot be guessed from it."""
    return blake2b(pepper, digest_size=32, person=_PERSON).digest()


def claim(ledger: Database, home: Home, pepper: bytes) -> None:
    """Has the ledger know the pepper. Raises OtherPepperError if active keys are made with another one, LedgerError."""
    known: bytes | None = None
    with suppress(LedgerError):  # no ledger yet, or one of an earlier release: a change mends that
        known = ledger.read(_known)
    own = pepper_hash(pepper)
    if known != own:
        known = ledger.change(lambda connection: _claimed(connection, own))
    if known != own:
        raise OtherPepperError(home)


def rekey(ledger: Database, pepper: bytes) -> int:
    """Revokes all keys for whoever runs this process, and has the ledger know this pepper; returns their number."""
    return ledger.change(lambda connection: _rekeyed(connection, pepper_hash(pepper), command_line()))


def _known(connection: Connection) -> bytes | None:
    return connection.execute(select(INSTALLATION.c.pepper)).scalar_one()


def _claimed(connection: Connection, own: bytes) -> bytes | None:
    active = select(API_KEYS.c.id).where(API_KEYS.c.revoked_at.is_(None)).exists()
    unused = or_(INSTALLATION.c.pepper.is_(None), not_(active))
    connection.execute(update(INSTALLATION).where(unused).values(pepper=own))
    return _known(connection)


def _rekeyed(connection: Connection, own: bytes, author: Author) -> int:
    version = raise_version(connection, KEYS_VERSION)
    revoked = update(API_KEYS).where(API_KEYS.c.revoked_at.is_(None))
    count = connection.execute(revoked.values(revoked_at=int(time.time()), changed_in=version)).rowcount
    connection.execute(update(INSTALLATION).values(pepper=own))
    record(connection, author, Act(action="ledger.rekeyed", target=INSTALLED, after={"revoked_keys": count}))
    return count
