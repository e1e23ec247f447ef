"""PostgreSQL's advisory locks, by name: held until the end of the transaction, by one alone or by several."""

from __future__ import annotations

import hashlib
from typing import Final

from sqlalchemy import Connection, text

_ALONE: Final = text("SELECT pg_advisory_xact_lock(:number)")
_BESIDE_OTHERS: Final = text("SELECT pg_advisory_xact_lock_shared(:number)")


def lock(connection: Connection, name: str, *, alone: bool = True) -> None:
    """Waits until no other transaction has the lock of that name to itself, or has it at all, and takes it."""
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest())
    connection.execute(_ALONE if alone else _BESIDE_OTHERS, {"number": number})


def take_turns(connection: Connection, name: str) -> None:
    """Waits until no other change that takes turns by that name is under way; on SQLite, none ever is.

    What is read next is what those have left: so there are never more of something than a change has counted.
    """
    if connection.dialect.name != "sqlite":
        lock(connection, name)
