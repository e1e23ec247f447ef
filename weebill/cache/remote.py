"""Recordings in a Redis that workers or machines share; without it, each has only its own memory.

Keys are hashes keyed with the installation's secret, so replicas with the same secret share answers. Values are the
answers in clear, sealed with that secret.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec

from weebill.cache.recording import Recording, seal, unseal
from weebill.shared.redis import MAX_IN_FLIGHT, Redis, RedisDown

_PREFIX: Final = "weebill:answer:"

log = logging.getLogger(__name__)


class RemoteRecordings:
    """Reads within the limits of `Redis`; writes in the background, with a bounded number under way."""

    def __init__(self, redis: Redis, secret: bytes) -> None:
        self._redis = redis
        self._secret = secret
        self._writing: set[asyncio.Task[None]] = set()

    async def get(self, key: bytes) -> Recording | None:
        """Returns a recording; None as well if the server is lost, or has a foreign value."""
        try:
            sealed = await self._redis.run(lambda redis: redis.get(_name(key)))
        except RedisDown:
            return None
        if sealed is None:
            return None
        try:
            found = unseal(key, sealed, self._secret)
        except msgspec.DecodeError:  # sealed by another release
            return None
        if found is None:
            log.error("an answer in %s is not what was put there, and is not used", self._redis.name)
        return found

    def put(self, key: bytes, recording: Recording, ttl_s: float) -> None:
        """Stores a recording, unless too many writes are under way."""
        if len(self._writing) < MAX_IN_FLIGHT:
            task = asyncio.get_running_loop().create_task(self._put(key, recording, ttl_s))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def flush(self) -> None:
        """Waits until the writes under way are done or have failed."""
        await asyncio.gather(*self._writing)

    async def _put(self, key: bytes, recording: Recording, ttl_s: float) -> None:
        sealed = seal(key, recording, self._secret)
        try:
            await self._redis.run(lambda redis: redis.set(_name(key), sealed, px=max(1, int(ttl_s * 1000))))
        except RedisDown:
            return


def _name(key: bytes) -> str:
    return _PREFIX + key.hex()
