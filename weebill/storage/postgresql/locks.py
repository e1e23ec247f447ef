"""Locks that PostgreSQL holds until the end of a transaction, each with a name of ours."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, text


def lock(connection: Connection, name: str) -> None:
    """Waits until no other transaction has the lock of that name, and takes it."""
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest())
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
