"""A schema in a SQLite file, which may be replaced by another one, such as a backup, at any time.

1. A connection whose file is not at the path any more is closed, and another one is opened.
2. The first change by a connection brings the file up to date.
3. A change is made again if the file was replaced meanwhile: nobody would read it in the file that went.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, TypeVar, cast

from sqlalchemy import Connection, Dialect, Engine, RowMapping, Select, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import LRUCache

from weebill.config.ledger_errors import LedgerError
from weebill.storage.audit import recorded, watch
from weebill.storage.database import Database
from weebill.storage.errors import typed_errors
from weebill.storage.schema import Schema
from weebill.storage.sqlite.open_file import OpenFile, Opening
from weebill.storage.sqlite.opening import BUSY_TIMEOUT_S, LEDGER_FILE
from weebill.storage.upgrade import upgrade

_ATTEMPTS: Final = 5  # while backups are put back faster than a change takes
_READERS: Final = 8
_UP_TO_DATE: Final = "up to date"
_URL: Final = make_url("sqlite://")
_STATEMENTS: Final = 1000  # that are kept compiled; there are fewer

_compiled: Final = LRUCache[object, object](_STATEMENTS)

T = TypeVar("T")


class SqliteDatabase(Database):
    """The tables of a schema in the file at `path`, which is made by the first change.

    One change is made at a time. `working` is called again and again while a statement of a change takes long.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        opening: Opening = LEDGER_FILE,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        working: Callable[[], None] | None = None,
    ) -> None:
        self.path = path
        self._schema = schema
        self._what = f"{schema.title} {path}"
        self._writer = _engine(
            lambda: opening.writer(path, busy_timeout_s, working), "BEGIN IMMEDIATE", 1, busy_timeout_s
        )
        watch(self._writer)
        self._reader = _engine(lambda: opening.reader(path, busy_timeout_s), "BEGIN", _READERS, busy_timeout_s)
        self._watcher = _Watcher(lambda: opening.reader(path, busy_timeout_s))

    def read(self, query: Callable[[Connection], T]) -> T:
        """Returns the result of `query`. Raises LedgerError, also if there is no file."""
        with typed_errors(self._schema.title), self._reader.begin() as connection:
            return query(connection)

    def find(self, statement: Select[*tuple[object, ...]], values: Mapping[str, object]) -> Sequence[RowMapping]:
        """Returns the rows of a statement."""
        return self.read(lambda connection: connection.execute(statement, values).mappings().all())

    def look(self, query: Callable[[Connection], T]) -> T:
        """Returns the result of `query`: nothing is upgraded for readers. Raises LedgerError."""
        return self.read(query)

    def change(self, change: Callable[[Connection], T]) -> T:
        """Returns the result of `change` once its changes are in the file at the path."""
        for _ in range(_ATTEMPTS):
            with typed_errors(self._schema.title), self._writer.connect() as connection:
                self._bring_up_to_date(connection)
                with connection.begin(), recorded(connection):
                    result = change(connection)
                if _opened(connection).is_current():
                    return result
        raise LedgerError(f"The {self._what} is being replaced; nothing has been changed.")

    def source(self, connection: Connection) -> str:
        """Returns the file's device and number."""
        file = _opened(connection).file
        return f"{file.device}:{file.inode}"

    def stamp(self) -> str:
        """Returns the version of the file, as a connection sees it that changes nothing itself."""
        with typed_errors(self._schema.title):
            return self._watcher.stamp()

    def close(self) -> None:
        """Closes all connections."""
        with typed_errors(self._schema.title):
            self._watcher.close()
            self._reader.dispose()
            self._writer.dispose()

    def _bring_up_to_date(self, connection: Connection) -> None:
        if _UP_TO_DATE in connection.info:
            return
        with connection.begin():
            upgrade(connection, self._schema, f"The {self._what}")
        connection.info[_UP_TO_DATE] = True


class _Watcher:
    """A connection that is kept to tell whether others have changed the file. May be used in any thread."""

    def __init__(self, opened: Callable[[], OpenFile]) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._file: OpenFile | None = None
        self._files = 0

    def stamp(self) -> str:
        """Returns a text that differs once the file has changed. Raises sqlite3.Error, LedgerError."""
        with self._lock:
            if self._file is not None and not self._file.is_current():
                self._file.close()
                self._file = None
            if self._file is None:
                self._file = self._opened()
                self._files += 1
            # Of one connection, versions may be compared: https://www.sqlite.org/pragma.html#pragma_data_version
            [(version,)] = self._file.execute("PRAGMA data_version").fetchall()
            return f"{self._files}:{version}"

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _engine(opened: Callable[[], OpenFile], begin: str, connections: int, timeout_s: float) -> Engine:
    """Returns an engine whose transactions begin with that statement."""
    dialect = _dialect()
    creator = cast("Callable[[], DBAPIConnection]", opened)
    pool = QueuePool(creator, pool_size=connections, max_overflow=0, timeout=timeout_s, dialect=dialect)
    if (complete := dialect.on_connect()) is not None:  # adds functions that SQLite may lack
        event.listen(pool, "connect", lambda connection, _: complete(connection))
    engine = Engine(pool, dialect, _URL, hide_parameters=True, execution_options={"compiled_cache": _compiled})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    event.listen(engine, "checkout", _check)
    return engine


@cache
def _dialect() -> Dialect:
    """Returns the dialect of all engines: what is compiled for one of them is of use to the others."""
    engine = create_engine(_URL)
    with engine.connect():  # in which it learns of SQLite
        pass
    engine.dispose()
    return engine.dialect


def _check(opened: OpenFile, *_: object) -> None:
    """Has the pool open another connection if the file was replaced."""
    if not opened.is_current():
        raise DisconnectionError("the file was replaced")


def _opened(connection: Connection) -> OpenFile:
    opened = connection.connection.driver_connection
    assert isinstance(opened, OpenFile)  # noqa: S101 - the engine's creator makes no other
    return opened
