"""The base of the stores in the ledger: a change goes into the file that is in use, or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from weebill.config.ledger_errors import LedgerError
from weebill.storage.database import Ledger, open_ledger, transaction
from weebill.storage.errors import typed_errors

_ATTEMPTS: Final = 5  # while backups are put back faster than a change takes

T = TypeVar("T")


class Store:
    """Holds the ledger open for changes by hand. Belongs to one thread."""

    def __init__(self, connection: Ledger) -> None:
        self._connection = connection

    @classmethod
    def open(cls, database: Path) -> Self:
        """Open the ledger, making it at first use. Raises LedgerError."""
        return cls(open_ledger(database))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger."""
        self._connection.close()

    def commit(self, change: Callable[[], T]) -> T:
        """Returns the result of `change` once its changes are in the ledger that is in use.

        Made again where that was replaced meanwhile: nobody would read it in the file that went. Raises LedgerError.
        """
        for _ in range(_ATTEMPTS):
            with typed_errors(), transaction(self._connection):
                result = change()
            if self._connection.is_current():
                return result
            self._connection.close()
            self._connection = open_ledger(self._connection.path)
        raise LedgerError(f"The ledger {self._connection.path} is being replaced; nothing has been changed.")

    def _raise_version(self, name: str) -> int:
        """The next version of that name in `meta`, which those who follow it look at; within `commit`."""
        [(version,)] = self._connection.execute(
            "UPDATE meta SET value = value + 1 WHERE name = ? RETURNING value", (name,)
        ).fetchall()
        return int(version)
