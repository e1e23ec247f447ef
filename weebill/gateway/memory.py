"""Bounds the memory of a worker for requests' bodies and upstreams' answers, and returns it to the system."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from collections import defaultdict
from typing import Final

from weebill.config.limits import LimitSettings
from weebill.gateway.off_loop import off_loop
from weebill.transport.client import Response
from weebill.wire.errors import ApiError

_MIB: Final = 1 << 20
# The size from which memory is returned, and the delay in seconds, as more may be freed at once.
BIG_BYTES: Final = 4 * _MIB
_GIVEN_BACK_AFTER_S: Final = 0.5
_RETRY_AFTER_S: Final = 1.0
FREE_BYTES: Final = _MIB
"""Bytes of each answer that are not counted: most answers are smaller."""
PATIENCE_S: Final = 30.0
"""Seconds that an answer, which has been paid for, waits for room before it is dropped."""
# Of malloc.h
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


class Bodies:
    """The memory of bodies that came in pieces; a body that came with its head takes next to none."""

    __slots__ = ("_limits", "_of_key", "_tasks", "_timer", "taken")

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._of_key: defaultdict[str, int] = defaultdict(int)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.taken = 0

    def configure(self, limits: LimitSettings) -> None:
        """Applies new limits."""
        self._limits = limits

    def lease(self, key_id: str) -> Lease:
        """Returns the lease for the body of one request."""
        return Lease(self, key_id)

    def take(self, key_id: str, size: int) -> None:
        """Reserves memory. Raises ApiError 429 if the key's bodies take too much, 503 if all do."""
        of_key = self._of_key[key_id] + size
        if of_key > self._limits.key_bodies_mb * _MIB:
            raise ApiError(
                429,
                "The requests of this API key that are under way are too large together; try again later.",
                code="too_many_bytes_under_way",
                retry_after=_RETRY_AFTER_S,
            )
        if self.taken + size > self._limits.bodies_mb * _MIB:
            raise ApiError(
                503,
                "The requests that are under way are too large together; try again later.",
                code="too_many_bytes_under_way",
                retry_after=_RETRY_AFTER_S,
            )
        self._of_key[key_id] = of_key
        self.taken += size

    def give(self, key_id: str, size: int) -> None:
        """Releases reserved memory."""
        self.taken -= size
        left = self._of_key[key_id] - size
        if left:
            self._of_key[key_id] = left
        else:
            del self._of_key[key_id]
        self.note(size)

    def note(self, size: int) -> None:
        """Notes that an object of that size was freed, or soon will be."""
        if size >= BIG_BYTES:
            self.give_back_soon()

    def give_back_soon(self) -> None:
        """Schedules the return of freed memory to the system."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GIVEN_BACK_AFTER_S, self._give_back)

    def _give_back(self) -> None:
        self._timer = None
        task = asyncio.get_running_loop().create_task(off_loop(_trim))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Lease:
    """The memory reserved for the body of one request; released once."""

    __slots__ = ("_bodies", "_key_id", "_size")

    def __init__(self, bodies: Bodies, key_id: str) -> None:
        self._bodies = bodies
        self._key_id = key_id
        self._size = 0

    def add(self, size: int) -> None:
        """Reserves more bytes. Raises ApiError 429 or 503."""
        self._bodies.take(self._key_id, size)
        self._size += size

    def end(self) -> None:
        """Releases all of it."""
        size, self._size = self._size, 0
        if size:
            self._bodies.give(self._key_id, size)


class Answers:
    """The memory of answers that are held, complete or up to the end of an event.

    Answers wait for room in the order of asking. If all that hold some wanted more, none would ever go on; so one at a
    time, the first in the queue, may take as much as an answer may have, beyond the limit.
    """

    __slots__ = ("_ahead", "_limits", "_line", "_patience_s", "taken")

    def __init__(self, limits: LimitSettings, patience_s: float = PATIENCE_S) -> None:
        self._limits = limits
        self._patience_s = patience_s
        self._ahead: AnswerRoom | None = None
        self._line: dict[AnswerRoom, asyncio.Future[None]] = {}
        self.taken = 0

    def configure(self, limits: LimitSettings) -> None:
        """Applies new limits."""
        self._limits = limits
        self._let_in()

    def room(self) -> AnswerRoom:
        """Returns the memory account of one answer."""
        return AnswerRoom(self)

    def fits(self, room: AnswerRoom, more: int) -> bool:
        """True if there is room for that many more bytes now."""
        return room is self._ahead or (not self._line and self._has(more))

    async def wait(self, room: AnswerRoom) -> None:
        """Waits for the bytes that `room` wants. Raises ApiError 503 if that takes too long."""
        turn = self._line[room] = asyncio.get_running_loop().create_future()
        self._let_in()
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except TimeoutError:
            raise ApiError(
                503,
                "The answers that are under way are too large together; try again later.",
                code="no_room_for_answers",
                retry_after=_RETRY_AFTER_S,
            ) from None
        finally:
            if self._line.pop(room, None) is not None:  # it gave up its turn: the next may want less
                self._let_in()

    def give(self, room: AnswerRoom, size: int) -> None:
        """Releases memory."""
        self.taken -= size
        if room is self._ahead:
            self._ahead = None
        self._let_in()

    def _has(self, more: int) -> bool:
        return self.taken + more <= self._limits.answers_mb * _MIB

    def _let_in(self) -> None:
        """Grants waiting answers their memory, in the order of the queue."""
        for room, turn in tuple(self._line.items()):
            if not self._has(room.wants):
                if self._ahead is not None:
                    return
                self._ahead = room
            del self._line[room]
            if not turn.done():
                room.grow()
                turn.set_result(None)


class AnswerRoom:
    """The memory of one answer: a `Room`."""

    __slots__ = ("_answers", "_size", "wants")

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._size = 0
        self.wants = 0

    @property
    def free(self) -> int:
        return FREE_BYTES

    async def take(self, size: int) -> None:
        """Changes the size to `size` bytes, and waits for more if needed. Raises ApiError 503."""
        if size <= self._size:
            less, self._size = self._size - size, size
            if less:
                self._answers.give(self, less)
            return
        self.wants = size - self._size
        if self._answers.fits(self, self.wants):
            self.grow()
        else:
            await self._answers.wait(self)

    def grow(self) -> None:
        """Takes the bytes that are wanted."""
        self._size += self.wants
        self._answers.taken += self.wants

    def end(self) -> None:
        """Releases all of it. Idempotent."""
        size, self._size = self._size, 0
        if size:
            self._answers.give(self, size)


async def count_held(response: Response, size: int, answers: Answers) -> None:
    """Counts `size` bytes of an answer as held. Raises ApiError 503 if there is no room for them."""
    room = response.room
    if room is None:
        room = response.room = answers.room()
    await room.take(size)


def give_memory_back() -> None:
    """Makes glibc return freed memory to the system. To be called at the start of a process, before it has threads.

    The arena of a thread does not shrink from its end, so all threads share one (`M_ARENA_MAX`). Large blocks are
    mapped and unmapped one by one (`M_MMAP_THRESHOLD`); otherwise glibc raises that threshold when the first is freed.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _MIB)


def _trim() -> None:
    """Returns the memory of many small freed objects."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None
