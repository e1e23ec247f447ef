"""The SQLite file that keeps responses, so that later requests can build on them.

A file of its own: what it holds is conversations, which are large, come with every request, and may be thrown away,
unlike keys and usage (`weebill.storage.disposable`).

A conversation is kept as long as its newest response: one that is continued does not lose its beginning.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from weebill.storage.database import transaction
from weebill.storage.disposable import open_disposable
from weebill.wire.responses_state import StoredResponse, item_id, items

RETENTION_S: Final = 30 * 86_400
"""As long as OpenAI keeps responses. Source: https://platform.openai.com/docs/guides/your-data"""
MAX_BYTES: Final = 1024**3
MAX_CHAIN: Final = 2000
"""The limit of responses in a conversation."""

_PRUNE_INTERVAL_S: Final = 60.0
_PRUNE_ROWS: Final = 500
_SCHEMA: Final = (
    """CREATE TABLE responses (
        number INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        previous_id TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        input BLOB NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (tenant, id)
    ) STRICT""",
    "CREATE INDEX responses_by_expiry ON responses (expires_at, number)",
    """CREATE TABLE items (
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        response INTEGER NOT NULL REFERENCES responses (number) ON DELETE CASCADE,
        PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX items_by_response ON items (response)",
    "CREATE TABLE size (bytes INTEGER NOT NULL) STRICT",
    "INSERT INTO size (bytes) VALUES (0)",
    """CREATE TRIGGER response_added AFTER INSERT ON responses
        BEGIN UPDATE size SET bytes = bytes + new.bytes; END""",
    """CREATE TRIGGER response_removed AFTER DELETE ON responses
        BEGIN UPDATE size SET bytes = bytes - old.bytes; END""",
)
_COLUMNS: Final = "id, input, body, responses.previous_id, created_at"
# From a response to the first of its conversation; the depth bounds a chain that is damaged to a ring.
_CHAIN: Final = """WITH RECURSIVE chain (number, previous_id, depth) AS (
    SELECT number, previous_id, 0 FROM responses WHERE tenant = :tenant AND id = :id AND expires_at > :now
    UNION ALL
    SELECT older.number, older.previous_id, depth + 1 FROM responses AS older, chain
    WHERE older.tenant = :tenant AND older.id = chain.previous_id AND older.expires_at > :now AND depth < :most
)"""


class StoreError(Exception):
    """The store cannot be used, or not for this; the message says why."""


class ResponseStore:
    """Responses by tenant and id. Any number of processes and threads may use one file; calls take milliseconds.

    `retention_s` is how long a response is kept after the last that continues it was made, `max_bytes` how much all of
    them may take: then those that would go first anyway go early. Times are Unix time; methods raise nothing but
    StoreError.
    """

    def __init__(self, path: Path, *, retention_s: int = RETENTION_S, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._retention_s = retention_s
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._prune_at = 0.0
        with self._errors():
            self._connection = _open(path)

    def put(self, tenant: str, stored: StoredResponse, now: float | None = None) -> None:
        """Keep a response, in place of one with the same id, and what it continues for as long."""
        size = len(stored.input) + len(stored.body)
        if size > self._max_bytes:
            raise StoreError(f"a response of {size} bytes is more than the store may hold ({self._max_bytes})")
        now = time.time() if now is None else now
        expires_at = int(now) + self._retention_s
        with self._errors():
            ids = {found for item in items(stored) if (found := item_id(item)) is not None}
        with self._writing() as connection:
            connection.execute("DELETE FROM responses WHERE tenant = ? AND id = ?", (tenant, stored.id))
            self._make_room(connection, size)
            number = connection.execute(
                "INSERT INTO responses (tenant, id, previous_id, created_at, expires_at, bytes, input, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (tenant, stored.id, stored.previous_id, stored.created_at, expires_at, size, stored.input, stored.body),
            ).lastrowid
            connection.executemany(
                "INSERT OR REPLACE INTO items (tenant, id, response) VALUES (?, ?, ?)",
                [(tenant, each, number) for each in sorted(ids)],
            )
            if stored.previous_id is not None:
                connection.execute(
                    _CHAIN + " UPDATE responses SET expires_at = :expires_at"  # noqa: S608
                    " WHERE number IN (SELECT number FROM chain) AND expires_at < :expires_at",
                    {**_chain(tenant, stored.previous_id, now), "expires_at": expires_at},
                )
        if now >= self._prune_at:
            self._prune_at = now + _PRUNE_INTERVAL_S
            self.prune(now)

    def get(self, tenant: str, response_id: str, now: float | None = None) -> StoredResponse | None:
        """One response; None if it is not kept."""
        with self._reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM responses WHERE tenant = ? AND id = ? AND expires_at > ?",  # noqa: S608
                (tenant, response_id, _now(now)),
            ).fetchone()
        return None if row is None else StoredResponse(*row)

    def history(self, tenant: str, response_id: str, now: float | None = None) -> list[StoredResponse]:
        """A response and all that it continues, oldest first; [] if any of them is not kept."""
        with self._reading() as connection:
            rows = connection.execute(
                _CHAIN + f" SELECT {_COLUMNS} FROM responses JOIN chain USING (number)"  # noqa: S608
                " ORDER BY depth DESC",
                _chain(tenant, response_id, _now(now)),
            ).fetchall()
        found = [StoredResponse(*row) for row in rows]
        return found if found and found[0].previous_id is None else []

    def items(self, tenant: str, ids: Iterable[str], now: float | None = None) -> dict[str, bytes]:
        """The JSON of those of the items that are kept, by id."""
        found: dict[str, bytes] = {}
        wanted = set(ids)
        while wanted:
            one = wanted.pop()
            with self._reading() as connection:
                row = connection.execute(
                    f"SELECT {_COLUMNS} FROM responses WHERE expires_at > ? AND number ="  # noqa: S608
                    " (SELECT response FROM items WHERE tenant = ? AND id = ?)",
                    (_now(now), tenant, one),
                ).fetchone()
            if row is None:
                continue
            with self._errors():
                # References mostly come by the response, so what else is in it is looked for at once.
                for item in items(StoredResponse(*row)):
                    known = item_id(item)
                    if known is not None and (known == one or known in wanted):
                        wanted.discard(known)
                        found[known] = bytes(item)
        return found

    def delete(self, tenant: str, response_id: str) -> bool:
        """Forget a response; whether it was there. Those that continue it cannot be continued any more."""
        with self._writing() as connection:
            gone = connection.execute("DELETE FROM responses WHERE tenant = ? AND id = ?", (tenant, response_id))
            return gone.rowcount > 0

    def prune(self, now: float | None = None) -> int:
        """Forget what has been kept long enough, at most a few hundred at a time; how many there were."""
        with self._writing() as connection:
            return connection.execute(
                "DELETE FROM responses WHERE number IN"
                " (SELECT number FROM responses WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
                (_now(now), _PRUNE_ROWS),
            ).rowcount

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, self._errors():
            self._connection.close()

    def _make_room(self, connection: sqlite3.Connection, size: int) -> None:
        while True:
            [(used,)] = connection.execute("SELECT bytes FROM size").fetchall()
            if used + size <= self._max_bytes:
                return
            connection.execute(
                "DELETE FROM responses WHERE number ="
                " (SELECT number FROM responses ORDER BY expires_at, number LIMIT 1)"
            )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors(), transaction(self._connection):
            yield self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"Cannot use the store of responses {self._path}: {error}.") from error
        except msgspec.DecodeError as error:
            raise StoreError(f"A response is not what it should be: {error}.") from error


def _open(path: Path) -> sqlite3.Connection:
    newer = StoreError(f"The store of responses {path} was made by a newer Weebill; delete it, or move it away.")
    return open_disposable(path, (_SCHEMA,), newer)


def _chain(tenant: str, response_id: str, now: float) -> dict[str, str | float]:
    return {"tenant": tenant, "id": response_id, "now": now, "most": MAX_CHAIN - 1}


def _now(now: float | None) -> float:
    return time.time() if now is None else now
