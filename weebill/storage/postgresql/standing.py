"""A connection that stays open for single statements: each is a transaction of its own, in one round trip.

Statements stay prepared, and their rows do not pass through SQLAlchemy: that would take longer than the statement.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

Rows = list[tuple[object, ...]]


class StandingConnection:
    """A connection that is opened with the first statement, and again once it is lost. Belongs to one event loop."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection | None = None
        self._opened = 0
        self._turn = asyncio.Lock()

    async def fetch(self, statement: str, *values: object) -> tuple[int, Rows]:
        """Returns the number of the connection and the rows of the statement, which changes nothing.

        One whose connection is found lost is sent again. Raises TimeoutError, OSError, asyncpg.PostgresError,
        asyncpg.InterfaceError.
        """
        async with self._turn:
            if self._connection is not None:
                try:
                    return await self._fetched(self._connection, statement, values)
                except TimeoutError:
                    raise
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                    if not self._connection.is_closed():
                        raise
            self._connection = await self._connect()
            self._opened += 1
            return await self._fetched(self._connection, statement, values)

    def terminate(self) -> None:
        """Closes the connection; nothing is under way on it."""
        if self._connection is not None:
            self._connection.terminate()

    async def _fetched(
        self, connection: asyncpg.Connection, statement: str, values: tuple[object, ...]
    ) -> tuple[int, Rows]:
        try:
            rows: Rows = await connection.fetch(statement, *values)
        except (TimeoutError, asyncio.CancelledError, asyncpg.InternalClientError):
            connection.terminate()  # or the next call would find this one under way
            raise
        return self._opened, rows
