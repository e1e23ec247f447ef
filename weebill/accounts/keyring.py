"""A worker's bounded cache of API keys, checked on every request.

A hit costs one keyed hash and one dictionary look-up, without any I/O. The hash is keyed with the installation's
pepper, so neither the time of the look-up nor the cache reveals anything about a secret.

1. The ledger process is asked about an unknown key; requests with the same key share one question.
2. The ledger process announces changes within half a second; changed keys are removed from the cache.
3. Without messages from the ledger process, known keys stay valid for `grace_s`: one may have been revoked meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from weebill.accounts.api_key import TOPIC, FoundKey, KeyChanges
from weebill.accounts.known_key import KnownKey
from weebill.accounts.pepper import digest_of
from weebill.process.questions import Position, Unanswered

CAPACITY = 16_384  # of valid keys, and as many of refused ones
GRACE_S: Final = 60.0
_QUIET_S = 3.0  # a heartbeat comes every second

_decode_changes: Final = msgspec.msgpack.Decoder(KeyChanges).decode
_found: Final[msgspec.msgpack.Decoder[FoundKey | None]] = msgspec.msgpack.Decoder(FoundKey | None)

log = logging.getLogger(__name__)

T = TypeVar("T")
Asks = Callable[[str, object], Awaitable[Raw]]
"""Asks a question about a topic. Raises Unanswered."""


class LedgerUnavailable(Exception):  # noqa: N818 - a state rather than an error
    """The ledger cannot be asked now, and the key is not in the cache; answer 503, not 401."""


class KeyDirectory:
    """Finds keys without a cache: each look-up asks the ledger process."""

    def __init__(self, pepper: bytes, ask: Asks) -> None:
        self.pepper = pepper
        self._ask = ask

    async def find(self, token: bytes) -> KnownKey | None:
        """Returns the active key with this secret, or None; it may have ended. Raises LedgerUnavailable."""
        digest = digest_of(token, self.pepper)
        return None if digest is None else await asked(self._ask, digest)


class KeyRing:
    """The cache of a worker; it follows `TOPIC`. Call `settle` several times a second. Belongs to one event loop.

    While `generation` is unchanged, a token that was found active still is, unless it has ended by itself.
    """

    def __init__(self, pepper: bytes, ask: Asks, grace_s: float = GRACE_S) -> None:
        self._pepper = pepper
        self._ask = ask
        self._grace_s = grace_s
        self._known: dict[bytes, KnownKey] = {}
        self._refused: dict[bytes, None] = {}
        self._asking: dict[bytes, asyncio.Task[KnownKey | None]] = {}
        self._position = Position()
        self._quiet = False
        self._heard_at = time.monotonic()
        self.generation = 0
        self._heard = asyncio.Event()

    @property
    def ready(self) -> bool:
        """True if a message from the ledger process came within `grace_s`."""
        return self._heard.is_set()

    @property
    def hears(self) -> bool:
        """True unless the ledger process has been silent for some seconds."""
        return not self._quiet

    async def wait(self, timeout_s: float) -> None:
        """Waits until it is ready, for at most `timeout_s`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), timeout_s)

    def known(self, token: bytes) -> KnownKey | None:
        """Returns the active key with this secret if it is in the cache.

        None has two meanings: the token is refused, or it is unknown and the ledger must be asked; see `refuses`.
        """
        digest = digest_of(token, self._pepper)
        return None if digest is None else self._known.get(digest)

    def refuses(self, token: bytes) -> bool:
        """True if the cache knows that no active key has this secret."""
        digest = digest_of(token, self._pepper)
        return digest is None or digest in self._refused

    async def find(self, token: bytes) -> KnownKey | None:
        """Asks for the active key with this secret; returns None if there is none. Raises LedgerUnavailable."""
        digest = digest_of(token, self._pepper)
        if digest is None:
            return None
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.ensure_future(self._find(digest))
            asking.add_done_callback(_retrieved)
        return await asyncio.shield(asking)  # other clients may wait for the same answer

    def position(self) -> Position:
        """Returns the version up to which changes are known."""
        return self._position

    def hear(self, news: Raw) -> None:
        """Removes changed keys from the cache. Raises msgspec.MsgspecError."""
        changes = _decode_changes(news)
        self._heard_at = time.monotonic()
        self._heard.set()
        if self._quiet:
            log.info("the ledger can be asked again")
            self._quiet = False
        changed = changes.changed
        if changed is None:
            self._forget()
        elif changed:
            self.generation += 1
            for digests in changed.values():
                for digest in digests:
                    self._refused.pop(digest, None)
            # Of a secret that was replaced, the ledger may know nothing any more.
            for digest in [digest for digest, known in self._known.items() if known.key.id in changed]:
                del self._known[digest]
        self._position = Position(changes.source, changes.version)

    def settle(self) -> None:
        """Empties the cache after `grace_s` without a message."""
        silent_s = time.monotonic() - self._heard_at
        if silent_s > _QUIET_S and not self._quiet:
            log.warning("nothing is heard of the ledger, serving the keys known")
            self._quiet = True
        if silent_s > self._grace_s and self.ready:
            self._heard.clear()
            self._position = Position()
            self._forget()

    async def _find(self, digest: bytes) -> KnownKey | None:
        generation = self.generation
        try:
            key = await asked(self._ask, digest)
        finally:
            del self._asking[digest]
        if generation != self.generation:  # a change that came meanwhile may be of this very key
            return key
        if key is None:
            _remember(self._refused, digest, None)
        else:
            _remember(self._known, digest, key)
        return key

    def _forget(self) -> None:
        self.generation += 1
        self._known.clear()
        self._refused.clear()


async def asked(ask: Asks, digest: bytes) -> KnownKey | None:
    """Returns the active key with this digest, or None. Raises LedgerUnavailable."""
    try:
        found = _found.decode(await ask(TOPIC, digest))
    except Unanswered as error:
        raise LedgerUnavailable(str(error)) from error
    return None if found is None else KnownKey(found)


def _retrieved(asking: asyncio.Task[KnownKey | None]) -> None:
    """Retrieves the error of a question whose clients have left, so that asyncio does not report it."""
    if not asking.cancelled():
        asking.exception()


def _remember(cache: dict[bytes, T], digest: bytes, value: T) -> None:
    """Adds to a bounded cache; the oldest entry is removed if it is full."""
    if len(cache) >= CAPACITY:
        del cache[next(iter(cache))]
    cache[digest] = value
