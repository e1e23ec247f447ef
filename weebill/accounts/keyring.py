"""What a worker knows of the API keys: a bounded cache over the ledger, checked on every request.

A hit costs one keyed hash and one dictionary look-up, without any I/O. The hash is keyed with the installation's
pepper, so neither the time of the look-up nor the cache tells anything about a secret.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from typing import TypeVar

from weebill.accounts.api_key import KEY_PREFIX, MAX_KEY_BYTES, ApiKey
from weebill.storage.follower import NOTHING, Follower

CAPACITY = 16_384  # keys remembered, and as many refusals
BUSY_TIMEOUT_S = 0.02  # a look-up runs on the event loop: rather a 503 than a stall
GRACE_S = 60.0  # how long known keys are believed while the ledger cannot be read

_FIND = "SELECT id, name, role, hint, created_at, digest FROM api_keys WHERE digest = ? AND revoked_at IS NULL"
_CHANGED = "SELECT digest FROM api_keys WHERE changed_in > ?"
_PREFIX = KEY_PREFIX.encode()

log = logging.getLogger(__name__)

T = TypeVar("T")


class LedgerUnavailable(Exception):  # noqa: N818 - a state rather than an error
    """The ledger cannot be read now, and the key is not among those known; answer 503, not 401."""


class KeyRing:
    """Checks bearer tokens. Call `refresh` every 250 ms, so that a revocation takes effect within a second.

    Belongs to one thread. While the ledger cannot be read, known keys are served for `GRACE_S` more seconds.
    As long as `generation` stays the same, so does the answer for a token that was found active.
    """

    def __init__(self, database: Path, pepper: bytes) -> None:
        self._database = database
        self._ledger = Follower(database, "keys_version", BUSY_TIMEOUT_S)
        self._pepper = pepper
        self._known: dict[bytes, tuple[bytes, ApiKey]] = {}
        self._refused: dict[bytes, None] = {}
        self.generation = 0
        self._readable = True
        self._read_at = time.monotonic()
        self.refresh()

    def authenticate(self, token: bytes) -> ApiKey | None:
        """The active key with this secret, or None. Raises LedgerUnavailable."""
        if not token.startswith(_PREFIX) or len(token) > MAX_KEY_BYTES:
            return None
        digest = blake2b(token, digest_size=32, key=self._pepper).digest()
        known = self._known.get(digest)
        if known is not None:
            return known[1] if compare_digest(known[0], digest) else None
        if digest in self._refused:
            return None
        return self._look_up(digest)

    def refresh(self) -> None:
        """Forget what has changed in the ledger since the last call. Never raises for want of a ledger."""
        try:
            self._follow()
        except (OSError, sqlite3.Error) as error:
            self._lose(error)
            if time.monotonic() - self._read_at > GRACE_S:
                self._forget()
            return
        if not self._readable:
            log.info("the ledger can be read again")
        self._readable = True
        self._read_at = time.monotonic()

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def _look_up(self, digest: bytes) -> ApiKey | None:
        connection = self._ledger.connection
        if connection is None:  # `refresh` reopens it; until then a flood of requests must stay cheap
            raise LedgerUnavailable
        try:
            rows = connection.execute(_FIND, (digest,)).fetchall()
        except sqlite3.Error as error:
            self._lose(error)
            raise LedgerUnavailable from error
        if not rows:
            _remember(self._refused, digest, None)
            return None
        id_, name, role, hint, created_at, stored = rows[0]
        key = ApiKey(id=id_, name=name, role=role, hint=hint, created_at=created_at)
        _remember(self._known, digest, (stored, key))
        return key

    def _follow(self) -> None:
        connection, known = self._ledger.open(), self._ledger.version
        if known == NOTHING:  # of this file
            self._forget()
        version = self._ledger.newest(connection)
        if version == known:
            return
        self.generation += 1
        if version < known:  # restored from a backup, in place
            self._forget()
        for (digest,) in connection.execute(_CHANGED, (known,)).fetchall():
            self._known.pop(digest, None)
            self._refused.pop(digest, None)
        self._ledger.version = version

    def _forget(self) -> None:
        self.generation += 1
        self._known.clear()
        self._refused.clear()

    def _lose(self, error: Exception) -> None:
        self.close()
        if self._readable:
            log.warning("the ledger %s cannot be read, serving the keys known: %s", self._database, error)
        self._readable = False


def _remember(cache: dict[bytes, T], digest: bytes, value: T) -> None:
    """Add to a bounded cache; the oldest entry makes room."""
    if len(cache) >= CAPACITY:
        del cache[next(iter(cache))]
    cache[digest] = value
