"""Hashes of passwords by Argon2id, in threads: a few at once, as each takes 46 MiB for some hundredths of a second."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Final, TypeVar

from weebill.accounts.passwords import MOST, normal
from weebill.wire.errors import ApiError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

T = TypeVar("T")

_AT_ONCE: Final = 2
_MOST_WAITING: Final = 32


class Hasher:
    """Makes and checks hashes. Methods raise ApiError 503 if too many are waited for."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Returns the hash of a checked password, with its salt and settings."""
        return await self._run(lambda: _hasher().hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """True if a password is the one of a hash. Without a hash it takes as long, and is False."""
        # A longer one is nobody's, and takes as long as any.
        given = normal(password[: MOST * 4])
        return await self._run(lambda: _verify(stored, given))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise ApiError(503, "Too many people sign in at once; try again.", code="busy", retry_after=2)
        self._waiting += 1
        try:
            async with self._free:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1


def _verify(stored: str | None, password: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return _hasher().verify(stored or _nobodys(), password) and stored is not None
    except (Argon2Error, InvalidHashError):
        return False


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    # https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
    return PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)


@cache
def _nobodys() -> str:
    """Returns a hash that no password is known of."""
    return _hasher().hash(secrets.token_hex(16))
