"""Responses that are kept, so that later requests can build on them.

Apart from keys and usage: they are conversations, which are large, come with every request, and may be thrown away. On
SQLite they have a file of their own (`weebill.storage.sqlite.disposable`); in PostgreSQL, machines share them.

A conversation is kept as long as its newest response: one that is continued does not lose its beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from typing import Final, TypeVar

import msgspec
from sqlalchemy import CTE, Connection, bindparam, delete, insert, literal, select, update
from sqlalchemy.exc import SQLAlchemyError

from weebill.config.ledger_errors import LedgerError
from weebill.storage.database import Database
from weebill.storage.tables.responses import ITEMS, RESPONSES, SIZE
from weebill.storage.tables.types import MOST, String, Whole
from weebill.wire.responses_state import StoredResponse, item_id, items

RETENTION_S: Final = 30 * 86_400
"""As long as OpenAI keeps responses. Source: https://platform.openai.com/docs/guides/your-data"""
MAX_BYTES: Final = 1024**3
MAX_CHAIN: Final = 2000
"""The limit of responses in a conversation."""

_PRUNE_INTERVAL_S: Final = 60.0
_PRUNE_ROWS: Final = 500
_PAGE_ROWS: Final = 20  # each may have megabytes
_LONGEST_NAME: Final = 200  # letters; two of them are well below the 2,700 bytes that PostgreSQL takes in an index


_TENANT: Final = bindparam("of_tenant", type_=String)
_ID: Final = bindparam("of_id", type_=String)
_AT: Final = bindparam("at", type_=Whole)
_UNTIL: Final = bindparam("until", type_=Whole)


def _chain() -> CTE:
    """Returns a response and all that it continues; the depth bounds a chain that is damaged to a ring."""
    newest = select(RESPONSES.c.number, RESPONSES.c.previous_id, literal(0).label("depth"))
    chain = newest.where(RESPONSES.c.tenant == _TENANT, RESPONSES.c.id == _ID, RESPONSES.c.expires_at > _AT).cte(
        "chain", recursive=True
    )
    older = RESPONSES.alias("older")
    return chain.union_all(
        select(older.c.number, older.c.previous_id, chain.c.depth + 1).where(
            older.c.tenant == _TENANT,
            older.c.id == chain.c.previous_id,
            older.c.expires_at > _AT,
            chain.c.depth < MAX_CHAIN - 1,
        )
    )


_CHAIN: Final = _chain()
_ONE: Final = (RESPONSES.c.tenant == _TENANT, RESPONSES.c.id == _ID)
_STORED: Final = select(
    RESPONSES.c.id, RESPONSES.c.input, RESPONSES.c.body, RESPONSES.c.previous_id, RESPONSES.c.created_at
)
_GET: Final = _STORED.where(*_ONE, RESPONSES.c.expires_at > _AT)
_HISTORY: Final = _STORED.join(_CHAIN, RESPONSES.c.number == _CHAIN.c.number).order_by(_CHAIN.c.depth.desc())
_WITH_ITEM: Final = _STORED.join(ITEMS, ITEMS.c.response == RESPONSES.c.number).where(
    ITEMS.c.tenant == _TENANT, ITEMS.c.id == _ID, RESPONSES.c.expires_at > _AT
)
_EXTEND: Final = (
    update(RESPONSES)
    .where(RESPONSES.c.number.in_(select(_CHAIN.c.number)), RESPONSES.c.expires_at < _UNTIL)
    .values(expires_at=_UNTIL)
)
_INSERT: Final = insert(RESPONSES).returning(RESPONSES.c.number)
_INSERT_ITEM: Final = insert(ITEMS)
_LOCKED_SIZE: Final = select(SIZE.c.bytes).with_for_update()
_RESIZE: Final = update(SIZE).values(bytes=bindparam("size", type_=Whole))
_DELETE: Final = delete(RESPONSES).where(*_ONE).returning(RESPONSES.c.bytes)
_DELETE_ITEM: Final = delete(ITEMS).where(ITEMS.c.tenant == _TENANT, ITEMS.c.id == _ID)
_OLDEST: Final = (
    select(RESPONSES.c.number, RESPONSES.c.bytes)
    .order_by(RESPONSES.c.expires_at, RESPONSES.c.number)
    .limit(_PRUNE_ROWS)
)

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be used, or not for this; the message says why."""


class ResponseStore:
    """Responses by tenant and id. Any number of machines, processes and threads may use one; calls take milliseconds.

    `retention_s` is how long a response is kept after the last that continues it was made, `max_bytes` how much all of
    them may take: then those that would go first anyway go early. Times are Unix time. It and its methods raise nothing
    but StoreError.
    """

    def __init__(self, database: Database, *, retention_s: int = RETENTION_S, max_bytes: int = MAX_BYTES) -> None:
        self._database = database
        self._retention_s = retention_s
        self._max_bytes = max_bytes
        self._prune_at = 0.0
        self._change(_locked_size)  # so that it is there, and up to date

    def put(self, tenant: str, stored: StoredResponse, now: float | None = None) -> None:
        """Keeps a response, in place of one with the same id, and what it continues for as long."""
        size = len(stored.input) + len(stored.body)
        if size > self._max_bytes:
            raise StoreError(f"a response of {size} bytes is more than the store may hold ({self._max_bytes})")
        now = time.time() if now is None else now
        with _errors():
            ids = {found for item in items(stored) if (found := item_id(item)) is not None}
        self._change(lambda connection: self._put(connection, tenant, stored, ids, int(now)))
        if now >= self._prune_at:
            self._prune_at = now + _PRUNE_INTERVAL_S
            self.prune(now)

    def get(self, tenant: str, response_id: str, now: float | None = None) -> StoredResponse | None:
        """Returns one response; None if it is not kept."""
        wanted = _one(tenant, response_id, now)
        row = self._read(lambda connection: connection.execute(_GET, wanted).one_or_none())
        return None if row is None else StoredResponse(response_id, *row[1:])

    def history(self, tenant: str, response_id: str, now: float | None = None) -> list[StoredResponse]:
        """Returns a response and all that it continues, oldest first; [] if any of them is not kept.

        Very long ids are their hashes here.
        """
        wanted = _one(tenant, response_id, now)
        rows = self._read(lambda connection: connection.execute(_HISTORY, wanted).all())
        found = [StoredResponse(*row) for row in rows]
        return found if found and found[0].previous_id is None else []

    def items(self, tenant: str, ids: Iterable[str], now: float | None = None) -> dict[str, bytes]:
        """Returns the JSON of those of the items that are kept, by id."""
        names = frozenset(ids)
        return self._read(lambda connection: _items(connection, tenant, set(names), now)) if names else {}

    def delete(self, tenant: str, response_id: str) -> bool:
        """Forgets a response; returns True if it was there. Those that continue it cannot be continued any more."""

        def forget(connection: Connection) -> bool:
            used = _locked_size(connection)
            gone = connection.scalars(_DELETE, _names(tenant, response_id)).all()
            _resize(connection, used - sum(gone))
            return bool(gone)

        return self._change(forget)

    def forget(self, tenant: str) -> int:
        """Forgets all responses of a tenant, a few hundred at a time; returns how many there were."""
        wanted = select(RESPONSES.c.number, RESPONSES.c.bytes).where(RESPONSES.c.tenant == _name(tenant))

        def forget(connection: Connection) -> int:
            used = _locked_size(connection)
            gone = connection.execute(wanted.limit(_PRUNE_ROWS)).all()
            _delete(connection, [number for number, _ in gone])
            _resize(connection, used - sum(size for _, size in gone))
            return len(gone)

        count = 0
        while gone := self._change(forget):
            count += gone
        return count

    def all_of(self, tenant: str) -> Iterator[StoredResponse]:
        """Yields all responses of a tenant, some at a time; very long ids are their hashes here."""
        number = 0
        while page := self._read(partial(_page, tenant=tenant, after=number)):
            number = page[-1][0]
            yield from (stored for _, stored in page)

    def prune(self, now: float | None = None) -> int:
        """Forgets what has been kept long enough, at most a few hundred at a time; returns how many there were."""
        at = int(time.time() if now is None else now)

        def forget(connection: Connection) -> int:
            used = _locked_size(connection)
            gone = connection.execute(_OLDEST.where(RESPONSES.c.expires_at <= at)).all()
            _delete(connection, [number for number, _ in gone])
            _resize(connection, used - sum(size for _, size in gone))
            return len(gone)

        return self._change(forget)

    def _put(self, connection: Connection, tenant: str, stored: StoredResponse, ids: Collection[str], now: int) -> None:
        size, until = len(stored.input) + len(stored.body), now + self._retention_s
        used = _locked_size(connection)
        used -= sum(connection.scalars(_DELETE, _names(tenant, stored.id)))
        used = self._make_room(connection, used, size)
        row = {
            "tenant": _name(tenant),
            "id": _name(stored.id),
            "previous_id": None if stored.previous_id is None else _name(stored.previous_id),
            "created_at": max(-MOST, min(stored.created_at, MOST)),
            "expires_at": until,
            "bytes": size,
            "input": stored.input,
            "body": stored.body,
        }
        number = connection.execute(_INSERT, row).scalar_one()
        if ids:
            connection.execute(_DELETE_ITEM, [_names(tenant, each) for each in ids])
            rows = {_name(each): {"tenant": _name(tenant), "id": _name(each), "response": number} for each in ids}
            connection.execute(_INSERT_ITEM, list(rows.values()))
        if stored.previous_id is not None:
            connection.execute(_EXTEND, {**_one(tenant, stored.previous_id, now), "until": until})
        _resize(connection, used + size)

    def _make_room(self, connection: Connection, used: int, size: int) -> int:
        """Returns the bytes that are used once those that go first have gone."""
        while used + size > self._max_bytes and (oldest := connection.execute(_OLDEST).all()):
            gone = []
            for number, freed in oldest:
                if used + size <= self._max_bytes:
                    break
                gone.append(number)
                used -= freed
            _delete(connection, gone)
        return used

    def _read(self, query: Callable[[Connection], T]) -> T:
        with _errors():
            return self._database.read(query)

    def _change(self, change: Callable[[Connection], T]) -> T:
        with _errors():
            return self._database.change(change)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        raise StoreError(error.advised) from error
    except SQLAlchemyError as error:
        raise StoreError(f"the store of responses cannot be used: {error}") from error
    except msgspec.DecodeError as error:
        raise StoreError(f"a response is not what it should be: {error}") from error


def _name(name: str) -> str:
    """Returns a tenant or an id as it is kept. Clients make ids up, and PostgreSQL takes no NUL in a text."""
    if len(name) <= _LONGEST_NAME and "\0" not in name:
        return name
    return f"blake2b:{blake2b(name.encode(), digest_size=32).hexdigest()}"


def _page(connection: Connection, tenant: str, after: int) -> list[tuple[int, StoredResponse]]:
    mine = select(RESPONSES.c.number, *_STORED.selected_columns).where(RESPONSES.c.tenant == _name(tenant))
    page = mine.where(RESPONSES.c.number > after).order_by(RESPONSES.c.number).limit(_PAGE_ROWS)
    return [(number, StoredResponse(*row)) for number, *row in connection.execute(page)]


def _names(tenant: str, id_: str) -> dict[str, str]:
    return {"of_tenant": _name(tenant), "of_id": _name(id_)}


def _one(tenant: str, id_: str, now: float | None) -> dict[str, str | int]:
    return {**_names(tenant, id_), "at": int(time.time() if now is None else now)}


def _items(connection: Connection, tenant: str, wanted: set[str], now: float | None) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while wanted:
        one = wanted.pop()
        row = connection.execute(_WITH_ITEM, _one(tenant, one, now)).one_or_none()
        if row is None:
            continue
        # References mostly come by the response, so what else is in it is looked for at once.
        for item in items(StoredResponse(*row)):
            known = item_id(item)
            if known is not None and (known == one or known in wanted):
                wanted.discard(known)
                found[known] = bytes(item)
    return found


def _locked_size(connection: Connection) -> int:
    """Returns the bytes of all responses; nobody else changes them until the end of the transaction.

    A sum would be read from an index of them all with every response.
    """
    return int(connection.execute(_LOCKED_SIZE).scalar_one())


def _resize(connection: Connection, size: int) -> None:
    connection.execute(_RESIZE, {"size": size})


def _delete(connection: Connection, numbers: list[int]) -> None:
    connection.execute(delete(RESPONSES).where(RESPONSES.c.number.in_(numbers)))
