"""Shares health among workers: through a directory of files on one machine, through Redis among machines.

1. A worker sends all that it knows by itself: when that changes, and every `REPEAT_S` seconds.
2. It reads the others' notices every `INTERVAL_S` seconds, and passes them to its `Health`.
3. A worker that is silent for `SILENCE_S` seconds counts as having nothing to report.

So a lost notice is made up for by the next, nothing has to be cleaned up after a killed worker, a lost Redis leaves
each machine with its own knowledge, and no clocks are compared.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from weebill.process.beats import next_beat
from weebill.shared.notice_directory import NoticeDirectory
from weebill.shared.redis import Commands, Redis, RedisDown

INTERVAL_S: Final = 0.5
REPEAT_S: Final = 1.0
SILENCE_S: Final = 4.0
MAX_SOURCES: Final = 256

_STREAM: Final = "weebill:health"
_STREAM_LENGTH: Final = 256
_FIELD: Final = b"notice"
_UNHEARD: Final = (0, 0.0)

Notice = TypeVar("Notice", bound=Struct)
Hear = Callable[[str, tuple[Notice, ...]], None]
"""Takes in all notices of a source, in place of its earlier ones; () if it has none any more."""

log = logging.getLogger(__name__)


class SharedHealth(Generic[Notice]):
    """Sends this worker's notices to other workers, and receives theirs.

    `kind` is the class of a notice: a frozen msgspec.Struct whose `remaining_s` counts from its sending. `name` is this
    worker's, the same after a restart; `folder` holds the notices of this machine's workers.
    """

    def __init__(
        self,
        kind: type[Notice],
        folder: Path,
        name: str,
        redis: Redis | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._decode = msgspec.msgpack.Decoder(tuple[str, int, tuple[kind, ...]]).decode  # type: ignore[valid-type]
        self._folder = folder
        self._name = name
        self._directory: NoticeDirectory | None = None
        self._redis = redis
        self._clock = clock
        # A worker that replaces a killed one is another source, as its count starts anew.
        self._source = f"{name}:{secrets.token_hex(8)}"
        self._count = 0
        self._told: frozenset[Notice] = frozenset()
        self._tell_at = 0.0
        self._read_after = b""
        self._heard: dict[str, tuple[int, float]] = {}
        # For the directory, as a disk may block.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="health")
        self._troubled = False

    async def run(self, notices: Callable[[], Iterable[Notice]], hear: Hear[Notice]) -> None:
        """Exchanges notices every `INTERVAL_S` seconds, until cancelled."""
        while True:
            await self.exchange(tuple(notices()), hear)
            await next_beat(INTERVAL_S)

    async def exchange(self, notices: tuple[Notice, ...], hear: Hear[Notice]) -> None:
        """Sends this worker's notices, and passes on what is new from others."""
        message = self._message(notices)
        loop = asyncio.get_running_loop()
        messages: list[bytes] = []
        if message is not None or self._may_have_news():
            messages = await loop.run_in_executor(self._thread, self._through_directory, message)
        if self._redis is not None:
            messages += await self._through_redis(self._redis, message)
        now = self._clock()
        for each in messages:
            self._hear(each, now, hear)
        for source in [source for source, (_, at) in self._heard.items() if now - at > SILENCE_S]:
            del self._heard[source]
            hear(source, ())

    def close(self) -> None:
        """Removes this worker's notices."""
        self._thread.shutdown()
        if self._directory is not None:
            self._directory.remove()

    def _message(self, notices: tuple[Notice, ...]) -> bytes | None:
        """Returns the message to send now; None if nothing is new."""
        now = self._clock()
        # The remaining time changes all the time; the next repetition updates it.
        lasting = frozenset(msgspec.structs.replace(notice, remaining_s=0.0) for notice in notices)
        if lasting == self._told and not (lasting and now >= self._tell_at):
            return None
        self._told = lasting
        self._tell_at = now + REPEAT_S
        self._count += 1
        return msgspec.msgpack.encode((self._source, self._count, notices))

    def _hear(self, message: bytes, now: float, hear: Hear[Notice]) -> None:
        try:
            source, count, notices = self._decode(message)
        except msgspec.DecodeError as error:
            log.error("what another worker told of its health cannot be read, and is passed over: %s", error)
            return
        last, _ = self._heard.get(source, _UNHEARD)
        # The same message comes both ways, and not always in order.
        if source == self._source or count <= last:
            return
        if not last and len(self._heard) >= MAX_SOURCES:
            return
        self._heard[source] = (count, now)
        hear(source, notices)

    def _may_have_news(self) -> bool:
        """Looks without a thread: what is in use all the time, such as the folder's time, the system has in memory."""
        try:
            return self._directory is None or self._directory.changed()
        except OSError:
            return True

    def _through_directory(self, message: bytes | None) -> list[bytes]:
        try:
            if self._directory is None:
                self._directory = NoticeDirectory(self._folder, self._name)
            if message is not None:
                self._directory.post(message)
            messages = self._directory.read()
        except (OSError, ValueError) as error:
            if not self._troubled:
                log.error("workers cannot tell each other about providers' health in %s: %s", self._folder, error)
            self._troubled = True
            return []
        self._troubled = False
        return messages

    async def _through_redis(self, redis: Redis, message: bytes | None) -> list[bytes]:
        try:
            if not self._read_after:
                newest = await redis.run(lambda commands: commands.xrevrange(_STREAM, count=1))
                self._read_after = newest[0][0] if newest else b"0-0"
            if message is not None:
                await redis.run(partial(_append, message))
            after = self._read_after
            streams = await redis.run(lambda commands: commands.xread({_STREAM: after}, count=_STREAM_LENGTH))
        except RedisDown:
            # It may come back without the stream, and with a clock that is behind.
            self._read_after = b""
            return []
        entries = [entry for _, some in streams for entry in some]
        if entries:
            self._read_after = entries[-1][0]
        return [fields[_FIELD] for _, fields in entries if _FIELD in fields]


def recent_notices(folder: Path, kind: type[Notice]) -> list[Notice]:
    """Returns the current notices of this machine's workers in `folder`, each once."""
    decode = msgspec.msgpack.Decoder(tuple[str, int, tuple[kind, ...]]).decode  # type: ignore[valid-type]
    found: dict[Notice, None] = {}
    for message in NoticeDirectory.latest(folder, SILENCE_S):
        try:
            _, _, notices = decode(message)
        except msgspec.DecodeError:
            continue  # of another release
        found.update(dict.fromkeys(notices))
    return list(found)


async def _append(message: bytes, commands: Commands) -> None:
    await commands.xadd(_STREAM, {_FIELD: message}, maxlen=_STREAM_LENGTH, approximate=True)
