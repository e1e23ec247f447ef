"""Creates, lists and revokes API keys. Only a keyed hash of a key is stored, so its text is shown once."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar, get_args

from weebill.accounts.api_key import KEY_PREFIX, ApiKey, KeyRole
from weebill.accounts.pepper import key_digest
from weebill.config.ledger_errors import LedgerError

_SECRET_BYTES = 32
_NAME = re.compile(r"(?!key_)[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,63}")

T = TypeVar("T")


class CreatedKey(NamedTuple):
    """A new key and its text, which is not stored; `namesakes` are the ids of other active keys of the same name."""

    key: ApiKey
    secret: str
    namesakes: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """Returns the warning about a name that other keys have; "" if none does."""
        if not self.namesakes:
            return ""
        others = "another active key is" if len(self.namesakes) == 1 else f"{len(self.namesakes)} other active keys are"
        ids = ", ".join(self.namesakes[:3]) + (", ..." if len(self.namesakes) > 3 else "")
        return f"{others} named {self.key.name!r} ({ids}): only its id tells them apart, also when one is revoked"


class BadKeyError(LedgerError):
    """A key cannot be created as requested; `param` is the invalid field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class UnknownKeyError(LedgerError):
    """No key has this id or name."""


class KeyTable(Protocol):
    """The stored keys within a transaction, oldest first."""

    def all(self) -> list[ApiKey]:
        """Returns every key, revoked ones included."""

    def named(self, name: str) -> list[ApiKey]:
        """Returns every key of this name, revoked ones included."""

    def find(self, key_id: str) -> ApiKey | None:
        """Returns the key with this id."""

    def count_active(self) -> int:
        """Counts the keys that are not revoked."""

    def add(self, key: ApiKey, digest: bytes) -> None:
        """Stores a key, to be found by its digest."""

    def revoke(self, key_id: str, now: int) -> None:
        """Marks a key as revoked."""


class KeyBook(Protocol):
    """The storage of keys. Its methods raise LedgerError."""

    def read(self, query: Callable[[KeyTable], T]) -> T:
        """Returns the result of `query` on the keys as they are at one moment."""

    def change(self, change: Callable[[KeyTable], T]) -> T:
        """Commits the changes of `change`, and returns its result; `change` may be called again."""


class Keys:
    """The keys of an installation, for the command line, the supervisor and the management API."""

    def __init__(self, book: KeyBook, pepper: bytes) -> None:
        self._book = book
        self._pepper = pepper

    def create(self, name: str, role: KeyRole = "user") -> CreatedKey:
        """Creates a key. Raises BadKeyError, LedgerError."""
        _check(name, role)
        return self._book.change(lambda table: self._add(table, name, role))

    def create_first(self, name: str, role: KeyRole = "admin") -> CreatedKey | None:
        """Creates a key if there never was one, else returns None; safe when several processes try at once."""
        _check(name, role)
        return self._book.change(lambda table: None if table.all() else self._add(table, name, role))

    def all(self) -> list[ApiKey]:
        """Returns every key, revoked ones included, oldest first."""
        return self._book.read(lambda table: table.all())

    def count(self) -> int:
        """Counts the active keys."""
        return self._book.read(lambda table: table.count_active())

    def revoke(self, id_or_name: str) -> ApiKey:
        """Revokes by id, or by name if just one active key has it. A key already revoked stays as it is.

        Raises UnknownKeyError if none matches, LedgerError if several do.
        """
        return self._book.change(lambda table: _revoke(table, table.find(id_or_name) or _find_named(table, id_or_name)))

    def revoke_id(self, key_id: str) -> ApiKey:
        """Revokes by id alone. Raises UnknownKeyError, LedgerError."""
        return self._book.change(lambda table: _revoke(table, _get(table, key_id)))

    def _add(self, table: KeyTable, name: str, role: KeyRole) -> CreatedKey:
        secret = KEY_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        key = ApiKey(
            id="key_" + secrets.token_hex(8),
            name=name,
            role=role,
            hint=f"{secret[: len(KEY_PREFIX) + 2]}...{secret[-4:]}",
            created_at=int(time.time()),
        )
        namesakes = tuple(other.id for other in table.named(name) if other.revoked_at is None)
        table.add(key, key_digest(secret.encode(), self._pepper))
        return CreatedKey(key, secret, namesakes)


def _revoke(table: KeyTable, key: ApiKey) -> ApiKey:
    if key.revoked_at is None:
        table.revoke(key.id, int(time.time()))
    return _get(table, key.id)


def _get(table: KeyTable, key_id: str) -> ApiKey:
    key = table.find(key_id)
    if key is None:
        raise UnknownKeyError(f"There is no key with the id {key_id!r}; list the keys to see their ids.")
    return key


def _find_named(table: KeyTable, name: str) -> ApiKey:
    named = table.named(name)
    candidates = [key for key in named if key.revoked_at is None] or named[-1:]
    if not candidates:
        raise UnknownKeyError(f"There is no key {name!r}; `weebill keys list` shows them all.")
    if len(candidates) > 1:
        ids = ", ".join(f"{key.id} ({key.hint})" for key in candidates)
        raise LedgerError(f"{len(candidates)} active keys are named {name!r}; revoke one by its id: {ids}.")
    return candidates[0]


def _check(name: str, role: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadKeyError(
            f"{name!r} cannot name a key: use 1 to 64 letters, digits, spaces and . _ @ + -, "
            "beginning with a letter or digit, and not with key_.",
            "name",
        )
    if role not in get_args(KeyRole):
        raise BadKeyError(f"{role!r} is no role of a key: use {' or '.join(get_args(KeyRole))}.", "role")
