"""Creates, lists, changes and revokes API keys. Only a keyed hash of a secret is stored, so it is shown once."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol, TypeVar, get_args

from weebill.accounts.api_key import KEY_PREFIX, ApiKey, KeyRole, KeyUse
from weebill.accounts.errors import BadKeyError, RevokedKeyError, UnknownKeyError
from weebill.accounts.pepper import key_digest
from weebill.accounts.scopes import ScopeChanges, changed
from weebill.accounts.tenants import DEFAULT_PROJECT
from weebill.config.ledger_errors import LedgerError

OVERLAP_S = 86_400
MOST_OVERLAP_S = 90 * 86_400
_SECRET_BYTES = 32
_UNLIMITED = ScopeChanges()
_UNUSED = KeyUse()
_NAME = re.compile(r"(?!key_)[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,63}")

T = TypeVar("T")


class Owner(NamedTuple):
    """The owner of a new key: a project, and perhaps a user or a service account who holds it."""

    project_id: str = DEFAULT_PROJECT
    user_id: str | None = None
    service_account_id: str | None = None


_NOBODYS = Owner()


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


class Place(NamedTuple):
    """A project as a key belongs to it: whether keys of it are let in, and whether the key's holder belongs there."""

    organisation_id: str
    open: bool
    holder_belongs: bool


class KeyTable(Protocol):
    """The stored keys within a transaction, oldest first. Each change is recorded in the audit log."""

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

    def set_scopes(self, key: ApiKey, fields: Collection[str]) -> None:
        """Stores those scopes of a key; another change may set the others meanwhile."""

    def rotate(self, key_id: str, digest: bytes, hint: str, previous_until: int | None) -> None:
        """Gives a key another digest and hint. It is found by the one before, too, unless `previous_until` is None."""

    def uses(self, key_ids: Collection[str] | None = None) -> dict[str, KeyUse]:
        """Returns the use of each key that was used, or of some alone, by its id."""

    def page(self, limit: int, after: str | None, project_id: str | None, user_id: str | None) -> list[ApiKey] | None:
        """Returns a part of the keys: of a project, held by a user; after a key, None if that is not there."""

    def place(self, key: ApiKey) -> Place | None:
        """Returns where a key that is to be made belongs, None if there is no such project."""


class KeyBook(Protocol):
    """The storage of keys. Its methods raise LedgerError."""

    def read(self, query: Callable[[KeyTable], T]) -> T:
        """Returns the result of `query` on the keys as they are at one moment."""

    def change(self, change: Callable[[KeyTable], T]) -> T:
        """Commits the changes of `change`, and returns its result; `change` may be called again."""


class Keys:
    """The keys of an installation, for the command line, the supervisor and the management API.

    A key is named by its id, or by its name if just one active key has it; no name has the form of an id. Methods raise
    UnknownKeyError if no key is meant, and LedgerError if several may be.
    """

    def __init__(self, book: KeyBook, pepper: bytes) -> None:
        self._book = book
        self._pepper = pepper

    def create(
        self, name: str, role: KeyRole = "user", scopes: ScopeChanges = _UNLIMITED, owner: Owner = _NOBODYS
    ) -> CreatedKey:
        """Creates a key. Raises BadKeyError, LedgerError."""
        made = self._made(name, role, scopes, owner)
        return self._book.change(lambda table: self._add(table, *made))

    def create_first(self, name: str, role: KeyRole = "admin") -> CreatedKey | None:
        """Creates a key if there never was one, else returns None; safe when several processes try at once."""
        made = self._made(name, role, _UNLIMITED, _NOBODYS)
        return self._book.change(lambda table: None if table.all() else self._add(table, *made))

    def all(self) -> list[ApiKey]:
        """Returns every key, revoked ones included, oldest first."""
        return self._book.read(lambda table: table.all())

    def used(self) -> list[tuple[ApiKey, KeyUse]]:
        """Returns every key with its use so far, revoked ones included, oldest first."""

        def read(table: KeyTable) -> list[tuple[ApiKey, KeyUse]]:
            uses = table.uses()
            return [(key, uses.get(key.id, _UNUSED)) for key in table.all()]

        return self._book.read(read)

    def page(
        self, limit: int, after: str | None = None, project_id: str | None = None, user_id: str | None = None
    ) -> list[tuple[ApiKey, KeyUse]]:
        """Returns at most `limit` keys with their use, oldest first: after a key, of a project, held by a user.

        Raises UnknownKeyError, LedgerError.
        """

        def read(table: KeyTable) -> list[tuple[ApiKey, KeyUse]]:
            found = table.page(limit, after, project_id, user_id)
            if found is None:
                raise UnknownKeyError(f"There is no key {after!r} to go on after.")
            uses = table.uses([key.id for key in found])
            return [(key, uses.get(key.id, _UNUSED)) for key in found]

        return self._book.read(read)

    def find(self, id_or_name: str) -> tuple[ApiKey, KeyUse]:
        """Returns a key and its use so far. Raises UnknownKeyError, LedgerError."""

        def read(table: KeyTable) -> tuple[ApiKey, KeyUse]:
            key = _find(table, id_or_name)
            return key, table.uses([key.id]).get(key.id, _UNUSED)

        return self._book.read(read)

    def set_scopes(self, id_or_name: str, changes: ScopeChanges) -> ApiKey:
        """Changes the scopes of a key. Raises BadKeyError, RevokedKeyError, UnknownKeyError, LedgerError."""

        def change(table: KeyTable) -> ApiKey:
            key = changed(_unrevoked(_find(table, id_or_name)), changes, time.time())
            table.set_scopes(key, changes.fields)
            return _get(table, key.id)

        return self._book.change(change)

    def rotate(self, id_or_name: str, overlap_s: int = OVERLAP_S) -> CreatedKey:
        """Gives a key another secret; the present one is valid for `overlap_s` more, and an earlier one ends at once.

        Raises BadKeyError, RevokedKeyError, UnknownKeyError, LedgerError.
        """
        if not 0 <= overlap_s <= MOST_OVERLAP_S:
            most = MOST_OVERLAP_S // 86_400
            raise BadKeyError(f"The overlap is at least 0 and at most {most} days.", "overlap_s")
        secret = _new_secret()
        digest, until = key_digest(secret.encode(), self._pepper), int(time.time()) + overlap_s

        def rotate(table: KeyTable) -> CreatedKey:
            key = _unrevoked(_find(table, id_or_name))
            table.rotate(key.id, digest, _hint(secret), until if overlap_s else None)
            return CreatedKey(_get(table, key.id), secret)

        return self._book.change(rotate)

    def count(self) -> int:
        """Counts the active keys."""
        return self._book.read(lambda table: table.count_active())

    def revoke(self, id_or_name: str) -> ApiKey:
        """Revokes a key. One already revoked stays as it is. Raises UnknownKeyError, LedgerError."""
        return self._book.change(lambda table: _revoke(table, _find(table, id_or_name)))

    def _made(self, name: str, role: KeyRole, scopes: ScopeChanges, owner: Owner) -> tuple[ApiKey, str]:
        """Returns a key that is not stored yet, and its secret. Raises BadKeyError."""
        _check(name, role, owner)
        secret, now = _new_secret(), time.time()
        id_ = "key_" + secrets.token_hex(8)
        key = ApiKey(id=id_, name=name, role=role, hint=_hint(secret), created_at=int(now), **owner._asdict())
        return changed(key, scopes, now), secret

    def _add(self, table: KeyTable, key: ApiKey, secret: str) -> CreatedKey:
        _check_place(key, table.place(key))
        namesakes = tuple(other.id for other in table.named(key.name) if other.revoked_at is None)
        table.add(key, key_digest(secret.encode(), self._pepper))
        return CreatedKey(key, secret, namesakes)


def _new_secret() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def _hint(secret: str) -> str:
    return f"{secret[: len(KEY_PREFIX) + 2]}...{secret[-4:]}"


def _revoke(table: KeyTable, key: ApiKey) -> ApiKey:
    if key.revoked_at is None:
        table.revoke(key.id, int(time.time()))
    return _get(table, key.id)


def _unrevoked(key: ApiKey) -> ApiKey:
    if key.revoked_at is not None:
        raise RevokedKeyError(f"The key {key.name!r} ({key.id}) is revoked for good; make another one.")
    return key


def _find(table: KeyTable, id_or_name: str) -> ApiKey:
    """Returns a key by id, or by name if just one active key has it."""
    return table.find(id_or_name) or _find_named(table, id_or_name)


def _get(table: KeyTable, key_id: str) -> ApiKey:
    key = table.find(key_id)
    if key is None:
        raise UnknownKeyError.of(key_id)
    return key


def _find_named(table: KeyTable, name: str) -> ApiKey:
    named = table.named(name)
    candidates = [key for key in named if key.revoked_at is None] or named[-1:]
    if not candidates:
        raise UnknownKeyError(f"There is no key {name!r}; `weebill keys list` shows them all.")
    if len(candidates) > 1:
        ids = ", ".join(f"{key.id} ({key.hint})" for key in candidates)
        raise LedgerError(f"{len(candidates)} active keys are named {name!r}; name one by its id: {ids}.")
    return candidates[0]


def _check_place(key: ApiKey, place: Place | None) -> None:
    if place is None:
        raise BadKeyError(f"There is no project {key.project_id!r}; list them to see their ids.", "project_id")
    if not place.open:
        raise BadKeyError(f"The project {key.project_id} or its organisation is archived.", "project_id")
    if not place.holder_belongs and key.user_id is not None:
        message = f"{key.user_id!r} is no member of the project's organisation, or is disabled."
        raise BadKeyError(message, "user_id")
    if not place.holder_belongs:
        message = f"{key.service_account_id!r} is no service account of the project, or is disabled."
        raise BadKeyError(message, "service_account_id")


def _check(name: str, role: str, owner: Owner) -> None:
    if not _NAME.fullmatch(name):
        raise BadKeyError(
            f"{name!r} cannot name a key: use 1 to 64 letters, digits, spaces and . _ @ + -, "
            "beginning with a letter or digit, and not with key_.",
            "name",
        )
    if role not in get_args(KeyRole):
        raise BadKeyError(f"{role!r} is no role of a key: use {' or '.join(get_args(KeyRole))}.", "role")
    if owner.user_id is not None and owner.service_account_id is not None:
        raise BadKeyError("Either a user or a service account holds a key, not both.", "service_account_id")
    if role == "admin" and owner != _NOBODYS:
        raise BadKeyError("An admin key manages the installation, so it is of no project, and nobody holds it.", "role")
