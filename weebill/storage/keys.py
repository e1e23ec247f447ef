"""API keys in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, func, insert, or_, select, union_all, update

from weebill.accounts.api_key import ApiKey, FoundKey, KeyScopes, KeyUse
from weebill.accounts.audit import Act, Author, changed, command_line
from weebill.accounts.keys import Keys, KeyTable, Place
from weebill.accounts.pepper import ensure_pepper
from weebill.accounts.scopes import said_preferences
from weebill.config.ledger_errors import LedgerError
from weebill.config.paths import Home
from weebill.config.routing import Preferences
from weebill.config.schema import DatabaseSettings
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.installation import claim
from weebill.storage.key_use import uses_of_keys
from weebill.storage.limits import LABELLED, limit_in, of_subjects
from weebill.storage.opening import open_ledger
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tables.limits import LIMITS
from weebill.storage.tables.tenants import MEMBERSHIPS, ORGANISATIONS, PROJECTS, SERVICE_ACCOUNTS, USERS
from weebill.storage.versions import KEYS_VERSION, raise_version

T = TypeVar("T")

_FIELDS: Final = [API_KEYS.c[name] for name in ApiKey.__struct_fields__]
_GIVEN: Final = ("id", "name", "role", "hint", "created_at", "project_id", "user_id", "service_account_id")
_ACTIVE: Final = API_KEYS.c.revoked_at.is_(None)
_PLACED: Final = (
    API_KEYS.join(PROJECTS)
    .join(ORGANISATIONS)
    .outerjoin(USERS)
    .outerjoin(SERVICE_ACCOUNTS, API_KEYS.c.service_account_id == SERVICE_ACCOUNTS.c.id)
)
_LET_IN: Final = (
    PROJECTS.c.archived_at.is_(None),
    ORGANISATIONS.c.archived_at.is_(None),
    USERS.c.disabled_at.is_(None),
    SERVICE_ACCOUNTS.c.disabled_at.is_(None),
)

_names: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_preferences: Final = msgspec.json.Decoder(Preferences).decode
_DIGEST: Final = bindparam("of_secret", type_=API_KEYS.c.digest.type)
# A row for each limit, or one without. Made once: to make it takes longer than to execute it.
_WITH_DIGEST: Final = (
    select(*_FIELDS, API_KEYS.c.digest, PROJECTS.c.organisation_id, *LABELLED)
    .select_from(
        _PLACED.outerjoin(
            LIMITS,
            of_subjects(API_KEYS.c.id, API_KEYS.c.user_id, API_KEYS.c.project_id, PROJECTS.c.organisation_id),
        )
    )
    .where(or_(API_KEYS.c.digest == _DIGEST, API_KEYS.c.previous_digest == _DIGEST), _ACTIVE, *_LET_IN)
    .order_by(LIMITS.c.id)
)


@contextmanager
def open_keys(home: Home, settings: DatabaseSettings) -> Iterator[Keys]:
    """Opens the keys of an installation, for whoever runs this process; its ledger and pepper are made at first use.

    Raises LedgerError.
    """
    with open_ledger(home, settings) as ledger:
        yield keys_in(ledger, home)


def keys_in(ledger: Database, home: Home, author: Author | None = None) -> Keys:
    """Returns the keys of an open ledger; the pepper is made at first use. Raises LedgerError.

    Changes are by `author`, by default whoever runs this process.
    """
    book = StoredKeys(ledger, author or command_line())
    pepper = ensure_pepper(home.pepper, lambda: book.change(lambda table: table.count_active()))
    claim(ledger, home, pepper)
    return Keys(book, pepper)


class StoredKeys:
    """The `KeyBook` of `weebill.accounts.keys`."""

    def __init__(self, ledger: Database, author: Author) -> None:
        self._ledger = ledger
        self._author = author

    def read(self, query: Callable[[KeyTable], T]) -> T:
        """Returns the result of `query` on the keys as they are at one moment."""
        return self._ledger.read(lambda connection: query(KeyRows(connection, self._author)))

    def change(self, change: Callable[[KeyTable], T]) -> T:
        """Returns the result of `change` once its changes are kept."""
        return self._ledger.change(lambda connection: change(KeyRows(connection, self._author)))


class KeyRows:
    """The `KeyTable` of `weebill.accounts.keys`, within a transaction; changes are by `author`."""

    def __init__(self, connection: Connection, author: Author) -> None:
        self._connection = connection
        self._author = author

    def all(self) -> list[ApiKey]:
        """Returns every key, revoked ones included, oldest first."""
        return self._found()

    def named(self, name: str) -> list[ApiKey]:
        """Returns every key of this name, revoked ones included, oldest first."""
        return self._found(API_KEYS.c.name == name)

    def find(self, key_id: str) -> ApiKey | None:
        """Returns the key with this id."""
        return next(iter(self._found(API_KEYS.c.id == key_id)), None)

    def count_active(self) -> int:
        """Counts the keys that are not revoked."""
        return self._connection.execute(select(func.count()).select_from(API_KEYS).where(_ACTIVE)).scalar_one()

    def add(self, key: ApiKey, digest: bytes) -> None:
        """Stores a key."""
        row = {name: getattr(key, name) for name in _GIVEN}
        version = raise_version(self._connection, KEYS_VERSION)
        made = insert(API_KEYS).values(**row, **_scopes(key), digest=digest, made_in=version, changed_in=version)
        self._connection.execute(made)
        self._record("created", key, None, _said(key))

    def revoke(self, key_id: str, now: int) -> None:
        """Marks a key as revoked."""
        self._change("revoked", key_id, revoked_at=now)

    def set_scopes(self, key: ApiKey, fields: Collection[str]) -> None:
        """Stores those scopes of a key."""
        self._change("changed", key.id, **{name: value for name, value in _scopes(key).items() if name in fields})

    def rotate(self, key_id: str, digest: bytes, hint: str, previous_until: int | None) -> None:
        """Gives a key another digest; that of before is kept, unless `previous_until` is None."""
        previous = None if previous_until is None else API_KEYS.c.digest
        values = {"digest": digest, "hint": hint, "previous_digest": previous, "previous_until": previous_until}
        self._change("rotated", key_id, **values)

    def uses(self, key_ids: Collection[str] | None = None) -> dict[str, KeyUse]:
        """Returns the use of each key that was used, or of some alone, by its id."""
        return uses_of_keys(self._connection, key_ids)

    def page(self, limit: int, after: str | None, project_id: str | None, user_id: str | None) -> list[ApiKey] | None:
        """Returns a part of the keys, None if there is no key `after`."""
        # Admin keys are the installation's.
        listed = [] if project_id is None else [API_KEYS.c.project_id == project_id, API_KEYS.c.role == "user"]
        if user_id is not None:
            listed.append(API_KEYS.c.user_id == user_id)
        following = list(listed)
        if after is not None:
            last = select(API_KEYS.c.made_in).where(API_KEYS.c.id == after, *listed)
            made_in = self._connection.execute(last).scalar()
            if made_in is None:
                return None
            following.append(API_KEYS.c.made_in > made_in)
        found = select(*_FIELDS).where(*following).order_by(API_KEYS.c.made_in).limit(limit)
        return [_key(row) for row in self._connection.execute(found).mappings()]

    def place(self, key: ApiKey) -> Place | None:
        """Returns where a key that is to be made belongs, None if there is no such project."""
        found = select(ORGANISATIONS.c.id, *_LET_IN[:2]).select_from(PROJECTS.join(ORGANISATIONS))
        row = self._connection.execute(found.where(PROJECTS.c.id == key.project_id)).one_or_none()
        if row is None:
            return None
        organisation_id, *let_in = row
        return Place(organisation_id, all(let_in), self._has_holder(key, organisation_id))

    def _has_holder(self, key: ApiKey, organisation_id: str) -> bool:
        """True if who holds the key belongs to its project, or if nobody holds it."""
        holder = select(USERS.c.id).join_from(USERS, MEMBERSHIPS)
        if key.user_id is not None:
            holder = holder.where(USERS.c.id == key.user_id, MEMBERSHIPS.c.organisation_id == organisation_id)
            return self._connection.execute(holder.where(USERS.c.disabled_at.is_(None))).first() is not None
        if key.service_account_id is None:
            return True
        account = select(SERVICE_ACCOUNTS.c.id).where(SERVICE_ACCOUNTS.c.id == key.service_account_id)
        account = account.where(SERVICE_ACCOUNTS.c.project_id == key.project_id)
        return self._connection.execute(account.where(SERVICE_ACCOUNTS.c.disabled_at.is_(None))).first() is not None

    def _change(self, act: str, key_id: str, **values: object) -> None:
        version = raise_version(self._connection, KEYS_VERSION)
        before = self.find(key_id)
        self._connection.execute(update(API_KEYS).where(API_KEYS.c.id == key_id).values(**values, changed_in=version))
        after = self.find(key_id)
        if before is not None and after is not None:
            self._record(act, after, *changed(before, after))

    def _record(
        self, act: str, key: ApiKey, before: Mapping[str, object] | None, after: Mapping[str, object] | None
    ) -> None:
        place = self.place(key) if key.role == "user" else None
        entry = Act(
            action=f"key.{act}",
            target=key.id,
            organisation_id=None if place is None else place.organisation_id,
            before=before,
            after=after,
        )
        record(self._connection, self._author, entry)

    def _found(self, *conditions: ColumnElement[bool]) -> list[ApiKey]:
        # Keys of one second are in the order in which they were made.
        keys = select(*_FIELDS).where(*conditions).order_by(API_KEYS.c.created_at, API_KEYS.c.made_in)
        return [_key(row) for row in self._connection.execute(keys).mappings()]


def find_active(ledger: Database, digest: bytes) -> FoundKey | None:
    """Returns the key with a secret of this digest, which may be used. Raises LedgerError.

    It is not revoked, nor is its project or organisation archived or its holder disabled.
    """
    rows = ledger.find(_WITH_DIGEST, {_DIGEST.key: digest})
    if not rows:
        return None
    key = _key(rows[0])
    until = None if rows[0]["digest"] == digest else key.previous_until
    limits = tuple([limit for row in rows if (limit := limit_in(row)) is not None])
    return FoundKey(key, until, rows[0]["organisation_id"], limits)


def find_key(connection: Connection, id_or_name: str) -> ApiKey | None:
    """Returns a key by id, or the latest of that name which is not revoked."""
    rows = KeyRows(connection, command_line())
    active = [key for key in rows.named(id_or_name) if key.revoked_at is None]
    return rows.find(id_or_name) or (active[-1] if active else None)


def changed_since(connection: Connection, version: int, most: int | None = None) -> dict[str, list[bytes]]:
    """Returns the ids of the keys that have changed since `keys_version` was `version`, with their digests.

    Those are among them whose project, organisation or holder has been let in or shut out. There are at most `most`.
    """
    columns = select(API_KEYS.c.id, API_KEYS.c.digest, API_KEYS.c.previous_digest)
    organisations = select(ORGANISATIONS.c.id).where(ORGANISATIONS.c.changed_in > version)
    whose_projects = select(PROJECTS.c.id).where(
        or_(PROJECTS.c.changed_in > version, PROJECTS.c.organisation_id.in_(organisations))
    )
    # Each by its own index: a project may have a million keys.
    found = union_all(
        columns.where(API_KEYS.c.changed_in > version),
        columns.where(API_KEYS.c.project_id.in_(whose_projects)),
        *(
            columns.where(holder.in_(select(table.c.id).where(table.c.changed_in > version)))
            for holder, table in ((API_KEYS.c.user_id, USERS), (API_KEYS.c.service_account_id, SERVICE_ACCOUNTS))
        ),
    )
    rows = connection.execute(found.limit(most))
    return {id_: [digest for digest in digests if digest is not None] for id_, *digests in rows}


def _key(row: RowMapping) -> ApiKey:
    """Returns the key in a row. Raises LedgerError if another release has made it."""
    values = {name: row[name] for name in ApiKey.__struct_fields__}
    try:
        values |= {name: _names(values[name]) for name in ("networks", "models", "endpoints")}
        values["preferences"] = _preferences(values["preferences"])
    except msgspec.MsgspecError as error:
        raise LedgerError(f"This release cannot read what the key {row['id']} is limited to: {error}.") from error
    return ApiKey(**{**values, "local_only": bool(values["local_only"])})


def _said(key: ApiKey) -> dict[str, object]:
    said: dict[str, object] = msgspec.to_builtins(key)
    return {**said, "preferences": said_preferences(key.preferences)}


def _scopes(scopes: KeyScopes) -> dict[str, object]:
    """Returns the values of the columns for scopes."""
    return {
        "expires_at": scopes.expires_at,
        "networks": _json(scopes.networks),
        "models": _json(scopes.models),
        "endpoints": _json(scopes.endpoints),
        "local_only": scopes.local_only,
        "preferences": _json(said_preferences(scopes.preferences)),
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
