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
