"""API keys in the ledger. Every change raises `keys_version` in its own transaction: that is how others notice it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from weebill.accounts.api_key import ApiKey, KeyRole
from weebill.accounts.keys import Keys
from weebill.accounts.pepper import ensure_pepper
from weebill.config.paths import Home
from weebill.storage.errors import typed_errors
from weebill.storage.store import Store

KEYS_VERSION = "keys_version"

_COLUMNS = "id, name, role, hint, created_at, revoked_at"
_FIND = f"SELECT {_COLUMNS} FROM api_keys WHERE digest = ? AND revoked_at IS NULL"  # noqa: S608
_CHANGED = "SELECT digest FROM api_keys WHERE changed_in > ?"


@contextmanager
def open_keys(home: Home) -> Iterator[Keys]:
    """The keys of `home`, whose ledger and pepper are made at first use. Raises LedgerError."""
    with KeyStore.open(home.database) as table:
        yield Keys(table, ensure_pepper(home.pepper, table.count_active))


class KeyStore(Store):
    """The `KeyTable` of `weebill.accounts.keys`. Belongs to one thread."""

    def all(self) -> list[ApiKey]:
        """Every key, revoked ones included, oldest first."""
        return self._select("? = ''", "")

    def named(self, name: str) -> list[ApiKey]:
        """Every key of this name, revoked ones included, oldest first."""
        return self._select("name = ?", name)

    def find(self, key_id: str) -> ApiKey | None:
        """The key with this id."""
        return next(iter(self._select("id = ?", key_id)), None)

    def count_active(self) -> int:
        """Returns the number of keys that are not revoked."""
        with typed_errors():
            [(active,)] = self._connection.execute("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL").fetchall()
        return int(active)

    def add(self, key: ApiKey, digest: bytes) -> None:
        """Keep a key; within `commit`."""
        self._connection.execute(
            "INSERT INTO api_keys (id, name, role, hint, created_at, digest, changed_in) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key.id, key.name, key.role, key.hint, key.created_at, digest, self._raise_version(KEYS_VERSION)),
        )

    def revoke(self, key_id: str, now: int) -> None:
        """Note that a key is revoked; within `commit`."""
        self._connection.execute(
            "UPDATE api_keys SET revoked_at = ?, changed_in = ? WHERE id = ?",
            (now, self._raise_version(KEYS_VERSION), key_id),
        )

    def _select(self, condition: str, value: str) -> list[ApiKey]:
        query = f"SELECT {_COLUMNS} FROM api_keys WHERE {condition} ORDER BY created_at, rowid"  # noqa: S608
        with typed_errors():
            return [_to_key(*row) for row in self._connection.execute(query, (value,)).fetchall()]


def find_active(connection: sqlite3.Connection, digest: bytes) -> ApiKey | None:
    """The active key of this digest. Raises sqlite3.Error."""
    for row in connection.execute(_FIND, (digest,)).fetchall():
        return _to_key(*row)
    return None


def changed_since(connection: sqlite3.Connection, version: int) -> list[bytes]:
    """The digests of the keys that have changed since `keys_version` was `version`. Raises sqlite3.Error."""
    return [digest for (digest,) in connection.execute(_CHANGED, (version,))]


def _to_key(id_: str, name: str, role: KeyRole, hint: str, created_at: int, revoked_at: int | None) -> ApiKey:
    return ApiKey(id=id_, name=name, role=role, hint=hint, created_at=created_at, revoked_at=revoked_at)
