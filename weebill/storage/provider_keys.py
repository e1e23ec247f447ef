"""Providers' keys in the ledger, their secrets sealed."""

from __future__ import annotations

import logging
import time
from typing import Final

from msgspec import structs
from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from weebill.accounts.audit import Act, Author, command_line
from weebill.accounts.permissions import Reach
from weebill.accounts.provider_keys import (
    MOST,
    MOST_OF_ONE,
    BadProviderKeyError,
    KeptKey,
    KeyNews,
    ProviderKey,
    UnknownProviderKeyError,
    said,
)
from weebill.accounts.sealing import SealedError
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.owners import organisation_of_project
from weebill.storage.postgresql.locks import take_turns
from weebill.storage.reach import projects_within
from weebill.storage.sealing import PROVIDER_SECRETS, Vault
from weebill.storage.tables.provider_keys import PROVIDER_KEYS
from weebill.storage.tables.tenants import ORGANISATIONS, PROJECTS
from weebill.storage.versions import PROVIDER_KEYS_VERSION, raise_version

_TOLD: Final = ("provider", "project_id", "hint", "fallback")
_FIELDS: Final = [PROVIDER_KEYS.c[name] for name in ProviderKey.__struct_fields__]
_LET_IN: Final = or_(
    PROVIDER_KEYS.c.project_id.is_(None), PROJECTS.c.archived_at.is_(None) & ORGANISATIONS.c.archived_at.is_(None)
)

log = logging.getLogger(__name__)


class ProviderKeys:
    """The providers' keys of an installation. Its methods raise LedgerError; what they change is logged as acts."""

    def __init__(self, ledger: Database, vault: Vault, author: Author | None = None) -> None:
        """Acts are of the command line's user if there is no author."""
        self._ledger = ledger
        self._vault = vault
        self._author = author

    def add(self, key: ProviderKey, secret: str) -> ProviderKey:
        """Keeps a key. Raises BadProviderKeyError if its project is not there, or there are enough keys."""

        def add(connection: Connection) -> None:
            _check_project(connection, key.project_id)
            _check_room(connection, key)
            sealed = self._vault.seal(connection, PROVIDER_SECRETS.place(key.id), secret.encode())
            row = {name: getattr(key, name) for name in ProviderKey.__struct_fields__}
            connection.execute(insert(PROVIDER_KEYS).values(**row, secret=sealed))
            raise_version(connection, PROVIDER_KEYS_VERSION)
            given = {name: row[name] for name in _TOLD}
            self._record(connection, Act(action="provider_key.created", target=key.id, after=given), key.project_id)

        self._ledger.change(add)
        return key

    def all(self, provider: str | None = None, reach: Reach | None = None) -> list[ProviderKey]:
        """Returns every key, or those of a provider, or of projects within reach, oldest first."""
        wanted = [] if provider is None else [PROVIDER_KEYS.c.provider == provider]
        if reach is not None:
            wanted.append(PROVIDER_KEYS.c.project_id.in_(projects_within(reach)))
        return self._ledger.read(lambda connection: _found(connection, *wanted))

    def find(self, key_id: str) -> ProviderKey:
        """Returns a key. Raises UnknownProviderKeyError."""
        return self._ledger.read(lambda connection: _one(connection, key_id))

    def secret(self, key_id: str) -> str:
        """Returns the secret of a key, to call the provider with. Raises SealedError, UnknownProviderKeyError."""
        query = select(PROVIDER_KEYS.c.secret).where(PROVIDER_KEYS.c.id == key_id)
        sealed = self._ledger.read(lambda connection: connection.execute(query).scalar_one_or_none())
        if sealed is None:
            raise UnknownProviderKeyError.of(key_id)
        return self._vault.open(PROVIDER_SECRETS.place(key_id), sealed).decode()

    def remove(self, key_id: str) -> ProviderKey:
        """Forgets a key and its secret; returns what it was. Raises UnknownProviderKeyError."""

        def remove(connection: Connection) -> ProviderKey:
            key = _one(connection, key_id)
            connection.execute(delete(PROVIDER_KEYS).where(PROVIDER_KEYS.c.id == key_id))
            raise_version(connection, PROVIDER_KEYS_VERSION)
            gone = {name: getattr(key, name) for name in _TOLD}
            self._record(connection, Act(action="provider_key.removed", target=key.id, before=gone), key.project_id)
            return key

        return self._ledger.change(remove)

    def set_disabled(self, key_id: str, disabled: bool) -> ProviderKey:
        """Has a key not used any more, or used again. Raises UnknownProviderKeyError."""
        at = int(time.time()) if disabled else None

        def change(connection: Connection) -> ProviderKey:
            project_id = _one(connection, key_id).project_id
            connection.execute(update(PROVIDER_KEYS).where(PROVIDER_KEYS.c.id == key_id).values(disabled_at=at))
            raise_version(connection, PROVIDER_KEYS_VERSION)
            action = "provider_key.disabled" if disabled else "provider_key.enabled"
            self._record(connection, Act(action=action, target=key_id), project_id)
            return _one(connection, key_id)

        return self._ledger.change(change)

    def _record(self, connection: Connection, act: Act, project_id: str | None) -> None:
        of = None if project_id is None else organisation_of_project(connection, project_id)
        record(connection, self._author or command_line(), structs.replace(act, organisation_id=of))

    def note(self, news: KeyNews) -> None:
        """Notes what a worker reports; keys that are gone do not matter."""

        def note(connection: Connection) -> None:
            for key_id, used_at in sorted(news.used.items()):
                later = func.coalesce(PROVIDER_KEYS.c.last_used_at, 0) < used_at
                _set(connection, key_id, later, last_used_at=used_at)
            for key_id, reason in sorted(news.refused.items()):
                _set(connection, key_id, refused_at=int(time.time()), refusal=said(reason))
            for key_id in sorted(news.accepted):
                _set(connection, key_id, refused_at=None, refusal="")

        self._ledger.change(note)

    def in_use(self, connection: Connection) -> tuple[KeptKey, ...]:
        """Returns all keys that are in use, with their secrets, oldest first. Those that cannot be opened are logged,
        and left out.
        """
        used = (
            select(PROVIDER_KEYS)
            .select_from(PROVIDER_KEYS.outerjoin(PROJECTS).outerjoin(ORGANISATIONS))
            .where(PROVIDER_KEYS.c.disabled_at.is_(None), _LET_IN)
            .order_by(PROVIDER_KEYS.c.created_at, PROVIDER_KEYS.c.id)
        )
        kept = []
        for row in connection.execute(used).mappings():
            try:
                secret = self._vault.open(PROVIDER_SECRETS.place(row["id"]), row["secret"]).decode()
            except SealedError as error:
                log.error("the key %s of provider %s cannot be used: %s", row["id"], row["provider"], error)
                continue
            kept.append(KeptKey(row["id"], row["provider"], row["project_id"], secret, bool(row["fallback"])))
        return tuple(kept)


def _found(connection: Connection, *conditions: ColumnElement[bool]) -> list[ProviderKey]:
    query = select(*_FIELDS).where(*conditions).order_by(PROVIDER_KEYS.c.created_at, PROVIDER_KEYS.c.id)
    rows = connection.execute(query).mappings()
    return [ProviderKey(**{**row, "fallback": bool(row["fallback"])}) for row in rows]


def _one(connection: Connection, key_id: str) -> ProviderKey:
    found = _found(connection, PROVIDER_KEYS.c.id == key_id)
    if not found:
        raise UnknownProviderKeyError.of(key_id)
    return found[0]


def _check_project(connection: Connection, project_id: str | None) -> None:
    if project_id is None:
        return
    there = select(PROJECTS.c.id).where(PROJECTS.c.id == project_id, PROJECTS.c.archived_at.is_(None))
    if connection.execute(there).scalar_one_or_none() is None:
        raise BadProviderKeyError(f"There is no project {project_id!r}.", "project_id")


def _check_room(connection: Connection, key: ProviderKey) -> None:
    take_turns(connection, "provider keys")
    keys = select(func.count()).select_from(PROVIDER_KEYS)
    whose = PROVIDER_KEYS.c.project_id
    same = whose.is_(None) if key.project_id is None else whose == key.project_id
    of_one = connection.execute(keys.where(PROVIDER_KEYS.c.provider == key.provider, same)).scalar_one()
    if of_one >= MOST_OF_ONE or connection.execute(keys).scalar_one() >= MOST:
        raise BadProviderKeyError(f"There are {of_one} keys of {key.provider} already; remove one first.", "provider")


def _set(connection: Connection, key_id: str, *conditions: ColumnElement[bool], **values: object) -> None:
    connection.execute(update(PROVIDER_KEYS).where(PROVIDER_KEYS.c.id == key_id, *conditions).values(**values))
