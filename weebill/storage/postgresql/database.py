"""A schema in a PostgreSQL database.

Functions on tables are plain ones, and the driver (asyncpg) is asynchronous: they run as greenlets of an event loop in
a thread of the database's own, and those who call `read` and `change` wait in theirs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Final, TypeVar

from sqlalchemy import Connection, RowMapping, Select, event, select
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.interfaces import AdaptedConnection, DBAPIConnection
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from weebill.config.ledger_errors import LedgerError
from weebill.storage.advice.postgresql import advice, advice_on_connecting
from weebill.storage.audit import recorded, watch
from weebill.storage.database import Database
from weebill.storage.errors import LedgerFailedError, NotAnsweringError, hide_values, typed_errors
from weebill.storage.postgresql.locks import lock
from weebill.storage.postgresql.outage import Outage
from weebill.storage.postgresql.standing import StandingConnection
from weebill.storage.schema import Schema
from weebill.storage.tables.ledger import INSTALLATION
from weebill.storage.upgrade import upgrade

try:
    import asyncpg
except ImportError:  # the extra `postgres` is not installed
    asyncpg = None

CONNECT_TIMEOUT_S: Final = 5.0
STATEMENT_TIMEOUT_S: Final = 60.0
_LATE_S: Final = 1.5  # later than the server's own limit of a statement, which has the better message
_CONNECTIONS: Final = 4
_QUEUE: Final = 0.8  # of the time until there is a connection, for others to be done with theirs
_ATTEMPTS: Final = 5  # of a change that others are in the way of
# A serialization failure, a deadlock; what another change has made first: the next attempt sees it, and can say so.
_REPEATED: Final = frozenset({"40001", "40P01", "23505"})
_TICK_S: Final = 0.5
_STATEMENTS: Final = 16  # of `find`, that stay compiled
# The transactions that a new one would not see: between two equal ones, none has been committed.
_SNAPSHOT: Final = "SELECT pg_current_snapshot()::text"

T = TypeVar("T")


class PostgresDatabase(Database):
    """The tables of a schema in the database at `url`, as PostgreSQL's own programs take it. The url is a secret.

    `working` is called again and again while a change takes long. A statement may take `statement_timeout_s`, and it
    `connect_timeout_s` until there is a connection that answers.
    """

    def __init__(
        self,
        url: str,
        schema: Schema,
        *,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        working: Callable[[], None] | None = None,
    ) -> None:
        if asyncpg is None:
            raise LedgerError("PostgreSQL takes the extra `postgres`: install `weebill[postgres]`.")
        _make_indexes_partial(schema)
        self._url = url
        self._schema = schema
        self._statement_timeout_s = statement_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._outage = Outage()
        self._working = working
        self._upgraded = False
        self._upgrading = threading.Lock()
        self._watcher = StandingConnection(self._driver_connection)
        self._finder = StandingConnection(self._driver_connection)
        self._compiled = lru_cache(_STATEMENTS)(self._compile)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="postgresql", daemon=True)
        self._thread.start()
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_QUEUE * connect_timeout_s,
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "checkout", _ping)
        watch(self._engine.sync_engine)

    def read(self, query: Callable[[Connection], T]) -> T:
        """Returns the result of `query` on a snapshot."""
        self._bring_up_to_date()
        return self._run(lambda: self._read(query))

    def look(self, query: Callable[[Connection], T]) -> T:
        """Returns the result of `query` on a snapshot, without making or upgrading tables."""
        return self._run(lambda: self._read(query))

    def find(self, statement: Select[*tuple[object, ...]], values: Mapping[str, object]) -> Sequence[RowMapping]:
        """Returns the rows of a statement, which is compiled once, in one round trip."""
        self._bring_up_to_date()
        return self._run(lambda: self._find(statement, values))

    def change(self, change: Callable[[Connection], T]) -> T:
        """Returns the result of `change` once it is committed."""
        self._bring_up_to_date()
        return self._change(change)

    def replace(self, change: Callable[[Connection], T]) -> T:
        """Returns the result of `change` once it is committed: others have ended before it, or see all of it."""
        self._bring_up_to_date()
        return self._change(change, alone=True)

    def source(self, connection: Connection) -> str:
        """Returns the random name that the contents have."""
        return connection.execute(select(INSTALLATION.c.id)).scalar_one()

    def stamp(self) -> str:
        """Returns which transactions are over, of all in the cluster. Tables are made or upgraded before."""
        self._bring_up_to_date()
        return self._run(self._stamp)

    def close(self) -> None:
        """Closes all connections, and ends the thread."""
        with _typed_errors(self._schema.title):
            self._wait(self._dispose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _bring_up_to_date(self) -> None:
        with self._upgrading:
            if not self._upgraded:
                self._change(self._upgrade)
                self._upgraded = True

    def _upgrade(self, connection: Connection) -> None:
        # Replicas start at once.
        lock(connection, self._schema.name)
        upgrade(connection, self._schema, f"The {self._schema.title} in the database")

    def _change(self, change: Callable[[Connection], T], *, alone: bool = False) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._run(lambda: self._write(change, alone))
            except (LedgerFailedError, IntegrityError) as error:
                # The driver's own error where SQLAlchemy was passed by.
                cause = error.__cause__ if isinstance(error, LedgerFailedError) else error
                if getattr(getattr(cause, "orig", cause), "sqlstate", "") not in _REPEATED:
                    raise
        return self._run(lambda: self._write(change, alone))

    async def _read(self, query: Callable[[Connection], T]) -> T:
        async with self._connected() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin():
                return await connection.run_sync(query)

    async def _write(self, change: Callable[[Connection], T], alone: bool) -> T:
        def begun(connection: Connection) -> T:
            # A change that had read before all rows are replaced, and wrote afterwards, would mix the old contents with
            # the new.
            lock(connection, f"{self._schema.name} rows", alone=alone)
            with recorded(connection):
                return change(connection)

        async with self._connected() as connection, connection.begin():
            return await connection.run_sync(begun)

    async def _find(self, statement: Select[*tuple[object, ...]], values: Mapping[str, object]) -> Sequence[RowMapping]:
        sql, names, columns = self._compiled(statement)
        _, rows = await self._finder.fetch(sql, *(values[name] for name in names))
        return IteratorResult(columns, map(tuple, rows)).mappings().all()

    def _compile(self, statement: Select[*tuple[object, ...]]) -> tuple[str, Sequence[str], SimpleResultMetaData]:
        """Returns the statement for the driver, the names of its values in their order, and those of its columns."""
        compiled = statement.compile(dialect=self._engine.dialect)
        columns = SimpleResultMetaData([column.name for column in statement.selected_columns])
        return compiled.string, compiled.positiontup or (), columns

    async def _stamp(self) -> str:
        connection, [(snapshot,)] = await self._watcher.fetch(_SNAPSHOT)
        return f"{connection}:{snapshot}"

    async def _dispose(self) -> None:
        self._watcher.terminate()
        self._finder.terminate()
        await self._engine.dispose()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        """Yields a connection that has just answered. Raises TimeoutError if there is none in time."""
        async with asyncio.timeout(self._connect_timeout_s):
            connection = await self._engine.connect()
        try:
            yield connection
        finally:
            await asyncio.shield(connection.close())

    def _run(self, work: Callable[[], Coroutine[object, object, T]]) -> T:
        with self._outage.watched(), _typed_errors(self._schema.title):
            return self._wait(work())

    def _wait(self, work: Coroutine[object, object, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while not concurrent.futures.wait([future], _TICK_S).done:
                if self._working is not None:
                    self._working()
        except BaseException:  # whoever waits is interrupted: nothing may be committed afterwards
            future.cancel()
            raise
        return future.result()

    async def _connect(self) -> DBAPIConnection:
        connection: DBAPIConnection = await self._driver_connection()
        return connection

    async def _driver_connection(self) -> asyncpg.Connection:
        settings = {
            "application_name": f"weebill {self._schema.name}",
            # Whatever the server does by default: journals are deleted once their usage is committed.
            "synchronous_commit": "on",
            # To compile a statement takes longer than to run any of ours.
            "jit": "off",
            "statement_timeout": f"{self._statement_timeout_s * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{self._statement_timeout_s * 1000:.0f}",
        }
        late_s = self._statement_timeout_s + _LATE_S
        try:
            return await asyncpg.connect(
                self._url, timeout=CONNECT_TIMEOUT_S, command_timeout=late_s, server_settings=settings
            )
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:  # the driver reads the address only now
            raise NotAnsweringError(error, advice_on_connecting(error, self._url), self._schema.title) from error


def _make_indexes_partial(schema: Schema) -> None:
    """Makes those indexes partial that are so on SQLite.

    Tables that named PostgreSQL would load its dialect, which takes a tenth of a second, in processes that need none.
    """
    for table in schema.tables.tables.values():
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


def _ping(connection: AdaptedConnection, *_: object) -> None:
    """Raises DisconnectionError for a connection that the server has closed: another one is opened in its place.

    It is one round trip; those of SQLAlchemy's own (`pool_pre_ping`) are three, as they are within a transaction.
    """
    try:
        connection.run_async(lambda driver: driver.fetchrow(";"))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DisconnectionError(str(error)) from error


@contextmanager
def _typed_errors(what: str) -> Iterator[None]:
    """Raises NotAnsweringError for failures of the network, too, which the driver passes on as they are."""
    try:
        with typed_errors(what):
            yield
    except DBAPIError:
        raise
    except (OSError, TimeoutError) as error:
        cause = error if str(error) else TimeoutError("it does not answer")
        raise NotAnsweringError(cause, advice(None), what) from error
    except asyncpg.PostgresError as error:  # as a connection is made, or on one that stands
        hide_values(error)
        kind = LedgerFailedError if isinstance(error, asyncpg.QueryCanceledError) else NotAnsweringError
        raise kind(error, advice(error.sqlstate) or advice(None), what) from error
    except asyncpg.InterfaceError as error:
        raise LedgerFailedError(error, advice(None), what) from error
