"""A database: tables of one schema, in SQLite or in PostgreSQL, that are read and changed by plain functions.

A function is given a connection within a transaction, and called again where the transaction has to be repeated. So it
has no effects but those on the tables.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection, RowMapping, Select

T = TypeVar("T")


class Database(metaclass=ABCMeta):
    """Tables of one schema. Its methods may be called in any thread, and raise LedgerError where it cannot be used."""

    @abstractmethod
    def read(self, query: Callable[[Connection], T]) -> T:
        """Returns the result of `query` on the tables as they are at one moment."""

    @abstractmethod
    def find(self, statement: Select[*tuple[object, ...]], values: Mapping[str, object]) -> Sequence[RowMapping]:
        """Returns the rows of one statement, for what is asked often: it takes less than `read`.

        The statement is one that was made once, of columns of `tables.types`, with `values` for its parameters.
        """

    @abstractmethod
    def look(self, query: Callable[[Connection], T]) -> T:
        """Returns the result of `query` on the tables as they are, of whatever release, or on none."""

    @abstractmethod
    def change(self, change: Callable[[Connection], T]) -> T:
        """Returns the result of `change` once its changes are kept for good; if it raises, nothing is changed."""

    @abstractmethod
    def source(self, connection: Connection) -> str:
        """Returns a name for the contents that a function is given; another one once a backup is in their place."""

    @abstractmethod
    def stamp(self) -> str:
        """Returns a text that is another one after each change of a table, whoever has made it, at little cost.

        It may be another one without a change, too, and is to be compared with those of this object alone.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes all connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
