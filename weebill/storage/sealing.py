"""The sealed columns of the ledger, and the vault that seals and opens their values.

The ledger knows the id of the master key that it seals with. So an installation with another one notices, rather than
keep what the others cannot open.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, func, literal, select, update

from weebill.accounts.master_keys import ensure_master_keys, read_master_keys
from weebill.accounts.sealing import ID_AT, ID_BYTES, MasterKey, Place, SealedError, key_id_of, seal, unseal
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.storage.tables.ledger import INSTALLATION
from weebill.storage.tables.provider_keys import PROVIDER_KEYS
from weebill.storage.tables.sign_in import CREDENTIALS, MAILS
from weebill.storage.tables.types import Binary


class SealedColumn(NamedTuple):
    """A column of sealed values, which may be null; `row` is the table's primary key, `noun` what values are called."""

    table: Table
    row: str
    column: str
    noun: str

    def place(self, row: str) -> Place:
        """Returns the place of the value in a row."""
        return Place(self.table.name, self.column, row)

    def sealed_otherwise(self, key_ids: Sequence[bytes]) -> ColumnElement[bool]:
        """Returns the condition that the key of a value is none of these."""
        key_id = func.substr(self.table.c[self.column], ID_AT + 1, ID_BYTES, type_=Binary)
        return key_id.not_in([literal(each, Binary) for each in key_ids])


PROVIDER_SECRETS: Final = SealedColumn(PROVIDER_KEYS, "id", "secret", "provider keys")
TOTP: Final = SealedColumn(CREDENTIALS, "user_id", "totp", "secrets of one-time codes")
MAIL: Final = SealedColumn(MAILS, "id", "sealed", "mails to be sent")
SEALED: Final[tuple[SealedColumn, ...]] = (PROVIDER_SECRETS, TOTP, MAIL)
"""All of them: what is in this table is rotated, and looked after in a backup that is restored."""


class OtherMasterKeyError(SealedError):
    """The ledger seals with a master key that this installation does not have."""

    def __init__(self, home: Home, key_id: bytes) -> None:
        super().__init__(f"The ledger's secrets are sealed with the master key {key_id.hex()}, which is not here.")
        self.hint = (
            f"put the {home.master_key.name} of the ledger's installation into {home.root}; if it is lost, what it has "
            "sealed is lost, too, and `weebill secrets rotate --abandon` begins with another one"
        )


class Vault:
    """Seals and opens. Its keys are read again whenever one is not known, so a rotation needs no restart.

    May be used in any thread.
    """

    def __init__(self, home: Home, environment: Mapping[str, str] = os.environ) -> None:
        self._home = home
        self._environment = environment
        self._keys: tuple[MasterKey, ...] = ()

    def keys(self) -> tuple[MasterKey, ...]:
        """Returns the keys as they are now. Raises LedgerError."""
        self._keys = read_master_keys(self._home.master_key, self._environment)
        return self._keys

    def seal(self, connection: Connection, place: Place, plain: bytes) -> bytes:
        """Returns the sealed value, within a change. A first key is made if nothing was ever sealed.

        Raises OtherMasterKeyError if the ledger seals with a key that is not here, LedgerError.
        """
        return seal(self._sealing_key(connection), place, plain)

    def open(self, place: Place, sealed: bytes) -> bytes:
        """Returns what was sealed. Raises SealedError."""
        if all(key.id != key_id_of(sealed) for key in self._keys):
            self.keys()
        return unseal(self._keys, place, sealed)

    def _sealing_key(self, connection: Connection) -> MasterKey:
        # It stays the same until the end of the change, on PostgreSQL by this lock: a rotation waits.
        current = select(INSTALLATION.c.sealed_with).with_for_update(read=True)
        if connection.execute(current).scalar_one() is None:
            try:
                first = ensure_master_keys(self._home.master_key, self._environment)[0]
            except OSError as error:
                raise LedgerError(f"Cannot write {self._home.master_key}: {error.strerror}.") from error
            unset = INSTALLATION.c.sealed_with.is_(None)
            connection.execute(update(INSTALLATION).where(unset).values(sealed_with=first.id))
        key_id = connection.execute(current).scalar_one()
        assert key_id is not None  # noqa: S101 - it was set above, by this process or by another
        found = next((key for key in self.keys() if key.id == key_id), None)
        if found is None:
            raise OtherMasterKeyError(self._home, key_id)
        return found


def sealing_key_id(connection: Connection) -> bytes | None:
    """Returns the id of the key that the ledger seals with, None if nothing was ever sealed."""
    return connection.execute(select(INSTALLATION.c.sealed_with)).scalar_one()


def count_lost(connection: Connection, keys: Iterable[MasterKey]) -> dict[str, int]:
    """Returns how many values of each noun none of the keys opens."""
    ids = [key.id for key in keys]
    lost: dict[str, int] = {}
    for each in SEALED:
        column = each.table.c[each.column]
        query = select(func.count()).select_from(each.table).where(column.is_not(None), each.sealed_otherwise(ids))
        found = connection.execute(query).scalar_one()
        if found:
            lost[each.noun] = lost.get(each.noun, 0) + found
    return lost
