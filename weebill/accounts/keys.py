"""API keys: made, listed and revoked. Only a keyed hash of a key is stored, so its text is shown once."""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, get_args

from weebill.accounts.api_key import ApiKey, KeyRole
from weebill.config.paths import Home
from weebill.storage.database import Ledger, LedgerError, open_ledger
from weebill.storage.store import Store

KEY_PREFIX = "sk-wb-"
MAX_KEY_BYTES = 128
PEPPER_BYTES = 32

_SECRET_BYTES = 32
_NAME = re.compile(r"(?!key_)[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,63}")
_COLUMNS = "id, name, role, hint, created_at, revoked_at"


class CreatedKey(NamedTuple):
    """A new key and its text, which cannot be had again; `namesakes` are the ids of other active keys of its name."""

    key: ApiKey
    secret: str
    namesakes: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """What its maker should know, "" for nothing."""
        if not self.namesakes:
            return ""
        others = "another active key is" if len(self.namesakes) == 1 else f"{len(self.namesakes)} other active keys are"
        ids = ", ".join(self.namesakes[:3]) + (", ..." if len(self.namesakes) > 3 else "")
        return f"{others} named {self.key.name!r} ({ids}): only its id tells them apart, also when one is revoked"


class BadKeyError(LedgerError):
    """A key cannot be made as asked; `param` is the field at fault."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class UnknownKeyError(LedgerError):
    """No key has this id or name."""


class KeyStore(Store):
    """The keys of an installation, for the command line, the supervisor and the management API.

    Every change bumps `keys_version` in its own transaction: that is how workers notice it. Belongs to one thread.
    """

    def __init__(self, connection: Ledger, pepper: bytes) -> None:
        super().__init__(connection)
        self._pepper = pepper

    @classmethod
    def open(cls, home: Home) -> KeyStore:
        """Open the ledger of `home`, making it and the pepper at first use. Raises LedgerError."""
        connection = open_ledger(home.database)
        try:
            return cls(connection, ensure_pepper(home.pepper, connection))
        except BaseException:
            connection.close()
            raise

    def create(self, name: str, role: KeyRole = "user") -> CreatedKey:
        """Make a key. Raises BadKeyError, LedgerError."""
        _check(name, role)
        return self._commit(lambda: self._insert(name, role))

    def create_first(self, name: str, role: KeyRole = "admin") -> CreatedKey | None:
        """Make a key if there never was one, else None; safe when several processes try at once."""
        _check(name, role)
        return self._commit(lambda: None if self._has_any() else self._insert(name, role))

    def all(self) -> list[ApiKey]:
        """Every key, revoked ones included, oldest first."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM api_keys ORDER BY created_at, rowid")  # noqa: S608
        return [_to_key(row) for row in rows.fetchall()]

    def count(self) -> int:
        """How many keys are active."""
        return _count_active(self._connection)

    def revoke(self, id_or_name: str) -> ApiKey:
        """Revoke by id, or by name if just one active key has it. A key already revoked stays as it is.

        Raises UnknownKeyError if none matches, LedgerError if several do.
        """
        return self._commit(lambda: self._revoke(self._find(id_or_name) or self._find_named(id_or_name)))

    def revoke_id(self, key_id: str) -> ApiKey:
        """Revoke by id alone. Raises UnknownKeyError, LedgerError."""
        return self._commit(lambda: self._revoke(self._get(key_id)))

    def _insert(self, name: str, role: KeyRole) -> CreatedKey:
        secret = KEY_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        key = ApiKey(
            id="key_" + secrets.token_hex(8),
            name=name,
            role=role,
            hint=f"{secret[: len(KEY_PREFIX) + 2]}...{secret[-4:]}",
            created_at=int(time.time()),
        )
        self._connection.execute(
            "INSERT INTO api_keys (id, name, role, hint, created_at, digest, changed_in) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key.id, name, role, key.hint, key.created_at, self._digest(secret), self._next_version()),
        )
        namesakes = [other.id for other in self._select("name = ?", name) if other.revoked_at is None]
        return CreatedKey(key, secret, tuple(each for each in namesakes if each != key.id))

    def _digest(self, secret: str) -> bytes:
        return blake2b(secret.encode(), digest_size=32, key=self._pepper).digest()

    def _next_version(self) -> int:
        [(version,)] = self._connection.execute(
            "UPDATE meta SET value = value + 1 WHERE name = 'keys_version' RETURNING value"
        ).fetchall()
        return int(version)

    def _revoke(self, key: ApiKey) -> ApiKey:
        if key.revoked_at is None:
            self._connection.execute(
                "UPDATE api_keys SET revoked_at = ?, changed_in = ? WHERE id = ?",
                (int(time.time()), self._next_version(), key.id),
            )
        return self._select("id = ?", key.id)[0]

    def _has_any(self) -> bool:
        [(existing,)] = self._connection.execute("SELECT count(*) FROM api_keys").fetchall()
        return bool(existing)

    def _get(self, key_id: str) -> ApiKey:
        key = self._find(key_id)
        if key is None:
            raise UnknownKeyError(f"There is no key with the id {key_id!r}; list the keys to see their ids.")
        return key

    def _find(self, key_id: str) -> ApiKey | None:
        return next(iter(self._select("id = ?", key_id)), None)

    def _find_named(self, name: str) -> ApiKey:
        named = self._select("name = ?", name)
        candidates = [key for key in named if key.revoked_at is None] or named[-1:]
        if not candidates:
            raise UnknownKeyError(f"There is no key {name!r}; `weebill keys list` shows them all.")
        if len(candidates) > 1:
            ids = ", ".join(f"{key.id} ({key.hint})" for key in candidates)
            raise LedgerError(f"{len(candidates)} active keys are named {name!r}; revoke one by its id: {ids}.")
        return candidates[0]

    def _select(self, condition: str, value: str) -> list[ApiKey]:
        query = f"SELECT {_COLUMNS} FROM api_keys WHERE {condition} ORDER BY created_at, rowid"  # noqa: S608
        return [_to_key(row) for row in self._connection.execute(query, (value,)).fetchall()]


def read_pepper(path: Path) -> bytes:
    """The installation's pepper. Raises LedgerError if it is missing or cut short."""
    try:
        pepper = path.read_bytes()
    except FileNotFoundError as error:
        raise LedgerError(f"{path} is missing: start Weebill once, or restore it from a backup.") from error
    except OSError as error:
        raise LedgerError(f"Cannot read {path}: {error.strerror}.") from error
    if len(pepper) != PEPPER_BYTES:
        raise LedgerError(f"{path} holds {len(pepper)} bytes instead of {PEPPER_BYTES}; restore it from a backup.")
    return pepper


def ensure_pepper(path: Path, connection: sqlite3.Connection) -> bytes:
    """The pepper, made at first use. Raises LedgerError if it is missing although keys were hashed with it."""
    if not path.exists():
        if active := _count_active(connection):
            raise LedgerError(
                f"{path} is missing, and without it the {active} active API keys cannot be checked. Restore it from a "
                "backup; if it is lost for good, move the ledger weebill.db away and create new keys."
            )
        _create_pepper(path)
    return read_pepper(path)


def _create_pepper(path: Path) -> None:
    """Publish a complete file by hard link: of several processes that try at once, one wins and no one reads half."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(PEPPER_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _count_active(connection: sqlite3.Connection) -> int:
    [(active,)] = connection.execute("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL").fetchall()
    return int(active)


def _check(name: str, role: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadKeyError(
            f"{name!r} cannot name a key: use 1 to 64 letters, digits, spaces and . _ @ + -, "
            "beginning with a letter or digit, and not with key_.",
            "name",
        )
    if role not in get_args(KeyRole):
        raise BadKeyError(f"{role!r} is no role of a key: use {' or '.join(get_args(KeyRole))}.", "role")


def _to_key(row: tuple[str, str, KeyRole, str, int, int | None]) -> ApiKey:
    id_, name, role, hint, created_at, revoked_at = row
    return ApiKey(id=id_, name=name, role=role, hint=hint, created_at=created_at, revoked_at=revoked_at)
