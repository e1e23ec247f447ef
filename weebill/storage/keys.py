"""API keys in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from sqlalchemy import Connection, Select, func, insert, select, update

from weebill.accounts.api_key import ApiKey
from weebill.accounts.keys import Keys, KeyTable
from weebill.accounts.pepper import ensure_pepper
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.database import Database
from weebill.storage.installation import claim
from weebill.storage.opening import open_ledger
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.versions import KEYS_VERSION, raise_version

T = TypeVar("T")

_KEY: Final = select(
    API_KEYS.c.id, API_KEYS.c.name, API_KEYS.c.role, API_KEYS.c.hint, API_KEYS.c.created_at, API_KEYS.c.revoked_at
)
_ACTIVE: Final = API_KEYS.c.revoked_at.is_(None)


@contextmanager
def open_keys(home: Home, settings: DatabaseSettings) -> Iterator[Keys]:
    """Opens the keys of an installation; its ledger and pepper are made at first use. Raises LedgerError."""
    with open_ledger(home, settings) as ledger:
        yield keys_in(ledger, home)


def keys_in(ledger: Database, home: Home) -> Keys:
    """Returns the keys of an open ledger; the pepper is made at first use. Raises LedgerError."""
    book = StoredKeys(ledger)
    pepper = ensure_pepper(home.pepper, lambda: book.change(lambda table: table.count_active()))
    claim(ledger, home, pepper)
    return Keys(book, pepper)


class StoredKeys:
    """The `KeyBook` of `weebill.accounts.keys`."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger

    def read(self, query: Callable[[KeyTable], T]) -> T:
        """Returns the result of `query` on the keys as they are at one moment."""
        return self._ledger.read(lambda connection: query(KeyRows(connection)))

    def change(self, change: Callable[[KeyTable], T]) -> T:
        """Returns the result of `change` once its changes are kept."""
        return self._ledger.change(lambda connection: change(KeyRows(connection)))


class KeyRows:
    """The `KeyTable` of `weebill.accounts.keys`, within a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[ApiKey]:
        """Returns every key, revoked ones included, oldest first."""
        return self._found(_KEY)

    def named(self, name: str) -> list[ApiKey]:
        """Returns every key of this name, revoked ones included, oldest first."""
        return self._found(_KEY.where(API_KEYS.c.name == name))

    def find(self, key_id: str) -> ApiKey | None:
        """Returns the key with this id."""
        return next(iter(self._found(_KEY.where(API_KEYS.c.id == key_id))), None)

    def count_active(self) -> int:
        """Counts the keys that are not revoked."""
        return self._connection.execute(select(func.count()).select_from(API_KEYS).where(_ACTIVE)).scalar_one()

    def add(self, key: ApiKey, digest: bytes) -> None:
        """Stores a key."""
        row = {"id": key.id, "name": key.name, "role": key.role, "hint": key.hint, "created_at": key.created_at}
        version = raise_version(self._connection, KEYS_VERSION)
        self._connection.execute(insert(API_KEYS).values(**row, digest=digest, made_in=version, changed_in=version))

    def revoke(self, key_id: str, now: int) -> None:
        """Marks a key as revoked."""
        version = raise_version(self._connection, KEYS_VERSION)
        revoked = update(API_KEYS).where(API_KEYS.c.id == key_id).values(revoked_at=now, changed_in=version)
        self._connection.execute(revoked)

    def _found(self, query: Select[str, str, str, str, int, int | None]) -> list[ApiKey]:
        # Keys of one second are in the order in which they were made.
        rows = self._connection.execute(query.order_by(API_KEYS.c.created_at, API_KEYS.c.made_in))
        return [ApiKey(**row._mapping) for row in rows]


def find_active(connection: Connection, digest: bytes) -> ApiKey | None:
    """Returns the active key of this digest."""
    row = connection.execute(_KEY.where(API_KEYS.c.digest == digest, _ACTIVE)).one_or_none()
    return None if row is None else ApiKey(**row._mapping)


def changed_since(connection: Connection, version: int) -> list[bytes]:
    """Returns the digests of the keys that have changed since `keys_version` was `version`."""
    return list(connection.scalars(select(API_KEYS.c.digest).where(API_KEYS.c.changed_in > version)))
