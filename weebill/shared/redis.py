"""A Redis or Valkey that may be slow or gone at any time, at a bounded cost for its callers.

redis-py is imported with the first client: without `[redis] url`, a worker never imports it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Final, Protocol, TypeVar, cast
from urllib.parse import urlsplit

CONNECT_S: Final = 0.05
CALL_S: Final = 0.02
MAX_IN_FLIGHT: Final = 32
# After so many failures in a row, it is left alone for a pause that doubles up to a limit.
_FAILURES_TO_OPEN: Final = 3
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0

Value = str | bytes | int
Entries = Sequence[tuple[bytes, Mapping[bytes, bytes]]]
"""The entries of a stream: ids and fields."""
T = TypeVar("T")

log = logging.getLogger(__name__)


class RedisDown(Exception):  # noqa: N818 - a state more than an error
    """Redis did not answer in time, or is left alone because it has not lately."""


class Commands(Protocol):
    """The used part of redis.asyncio.Redis."""

    async def get(self, name: Value) -> bytes | None: ...

    async def set(self, name: Value, value: Value, *, px: int) -> object: ...

    async def xadd(self, name: Value, fields: Mapping[bytes, Value], *, maxlen: int, approximate: bool) -> bytes: ...

    async def xrevrange(self, name: Value, *, count: int) -> Entries: ...

    async def xread(self, streams: Mapping[str, Value], *, count: int) -> Sequence[tuple[bytes, Entries]]: ...

    async def aclose(self) -> None: ...


class Redis:
    """One server, at `url` (`redis://`, `rediss://` or `unix://`), for one event loop.

    A command takes at most `CALL_S` seconds, and `CONNECT_S` more on a new connection. Losing the server and getting it
    back are logged once each. Raises ImportError without redis-py.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._client = _client(url)
        self._failed = (TimeoutError, OSError, import_module("redis.exceptions").RedisError)
        self._in_flight = 0
        self._failures = 0
        self._closed_until = 0.0

    @property
    def name(self) -> str:
        """The server's address for display, without user and password."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    async def run(self, command: Callable[[Commands], Awaitable[T]]) -> T:
        """Returns the reply to a command. Raises RedisDown if there is none in time."""
        now = self._clock()
        if now < self._closed_until:
            raise RedisDown("it has not answered lately")
        if self._in_flight >= MAX_IN_FLIGHT:
            raise RedisDown(f"{MAX_IN_FLIGHT} commands are under way")
        if self._failures >= _FAILURES_TO_OPEN:
            # One command tries the server; the others do without it until the result is known.
            self._closed_until = now + CONNECT_S + CALL_S
        self._in_flight += 1
        try:
            async with asyncio.timeout(CONNECT_S + CALL_S):
                reply = await command(self._client)
        except self._failed as error:
            self._fail(error)
            raise RedisDown(str(error) or type(error).__name__) from error
        finally:
            self._in_flight -= 1
        self._succeed()
        return reply

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        beyond = self._failures - _FAILURES_TO_OPEN
        if beyond >= 0:
            self._closed_until = self._clock() + min(_FIRST_PAUSE_S * 2**beyond, _LONGEST_PAUSE_S)
        if beyond == 0:
            log.warning("%s is lost, and this worker goes on without it: %s", self.name, error or type(error).__name__)

    def _succeed(self) -> None:
        if self._failures >= _FAILURES_TO_OPEN:
            log.warning("%s is back", self.name)
        self._failures = 0
        self._closed_until = 0.0


def _client(url: str) -> Commands:
    redis = import_module("redis.asyncio")
    retry, backoff = import_module("redis.asyncio.retry"), import_module("redis.backoff")
    client = redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=CALL_S,
        max_connections=MAX_IN_FLIGHT,
        retry=retry.Retry(backoff.NoBackoff(), 0),
        # Both would cost a round trip for each new connection.
        protocol=2,
        driver_info=None,
    )
    return cast(Commands, client)
