"""Memory of a worker's for requests' bodies and upstreams' answers: bounded in all, and given back."""

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
# What is worth giving back, and how long after: more of the kind may come at once.
BIG_BYTES: Final = 4 * _MIB
_GIVEN_BACK_AFTER_S: Final = 0.5
_RETRY_AFTER_S: Final = 1.0
FREE_BYTES: Final = _MIB
"""Of an answer, what is not counted: most are smaller."""
PATIENCE_S: Final = 30.0
"""How long an answer waits for room before it is given up, which has been paid for."""
# Of malloc.h
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


class Bodies:
    """The memory of one worker's bodies that came in pieces; a body that came with its head takes next to none."""

    __slots__ = ("_limits", "_of_key", "_tasks", "_timer", "taken")

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._of_key: defaultdict[str, int] = defaultdict(int)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.taken = 0

    def configure(self, limits: LimitSettings) -> None:
        """Go by these limits from now on."""
        self._limits = limits

    def lease(self, key_id: str) -> Lease:
        """For the body of one request."""
        return Lease(self, key_id)

    def take(self, key_id: str, size: int) -> None:
        """Raise ApiError 429 where a key's bodies take too much, 503 where all do; then nothing is taken."""
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
        """Take no more of that."""
        self.taken -= size
        left = self._of_key[key_id] - size
        if left:
            self._of_key[key_id] = left
        else:
            del self._of_key[key_id]
        self.note(size)

    def note(self, size: int) -> None:
        """Something of that size is no more, or soon will be."""
        if size >= BIG_BYTES:
            self.give_back_soon()

    def give_back_soon(self) -> None:
        """Something big is no more: the system shall have its memory again."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_GIVEN_BACK_AFTER_S, self._give_back)

    def _give_back(self) -> None:
        self._timer = None
        task = asyncio.get_running_loop().create_task(off_loop(_trim))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Lease:
    """What the body of one request takes, given back once."""

    __slots__ = ("_bodies", "_key_id", "_size")

    def __init__(self, bodies: Bodies, key_id: str) -> None:
        self._bodies = bodies
        self._key_id = key_id
        self._size = 0

    def add(self, size: int) -> None:
        """Take so many bytes more. Raises ApiError 429 or 503."""
        self._bodies.take(self._key_id, size)
        self._size += size

    def end(self) -> None:
        """The request is over."""
        size, self._size = self._size, 0
        if size:
            self._bodies.give(self._key_id, size)


class Answers:
    """The memory of one worker's answers that are kept, whole or up to the end of an event.

    They wait for room, in the order in which they ask. Where all that have some want more, none would ever go on: so
    one at a time, the first in line, has as much as an answer may take, whatever there is.
    """

    __slots__ = ("_ahead", "_limits", "_line", "_patience_s", "taken")

    def __init__(self, limits: LimitSettings, patience_s: float = PATIENCE_S) -> None:
        self._limits = limits
        self._patience_s = patience_s
        self._ahead: AnswerRoom | None = None
        self._line: dict[AnswerRoom, asyncio.Future[None]] = {}
        self.taken = 0

    def configure(self, limits: LimitSettings) -> None:
        """Go by these limits from now on."""
        self._limits = limits
        self._let_in()

    def room(self) -> AnswerRoom:
        """For one answer."""
        return AnswerRoom(self)

    def fits(self, room: AnswerRoom, more: int) -> bool:
        """Tells whether there is room for so many bytes more, without waiting."""
        return room is self._ahead or (not self._line and self._has(more))

    async def wait(self, room: AnswerRoom) -> None:
        """Wait for what `room` wants. Raises ApiError 503 if that takes too long."""
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
            if self._line.pop(room, None) is not None:  # gone without a turn: the next may be content with less
                self._let_in()

    def give(self, room: AnswerRoom, size: int) -> None:
        """Take no more of that."""
        self.taken -= size
        if room is self._ahead:
            self._ahead = None
        self._let_in()

    def _has(self, more: int) -> bool:
        return self.taken + more <= self._limits.answers_mb * _MIB

    def _let_in(self) -> None:
        """Have go on who can, the first in line first."""
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
        """Wait until there is room for `size` bytes in all; what was more is given back. Raises ApiError 503."""
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
        """Take what is wanted."""
        self._size += self.wants
        self._answers.taken += self.wants

    def end(self) -> None:
        """The answer is no more. Idempotent."""
        size, self._size = self._size, 0
        if size:
            self._answers.give(self, size)


async def kept(response: Response, size: int, answers: Answers) -> None:
    """Have so much of an answer counted as kept. Raises ApiError 503 if there is no room for it."""
    room = response.room
    if room is None:
        room = response.room = answers.room()
    await room.take(size)


def give_memory_back() -> None:
    """Have what is freed be given back, as far as glibc can be told; for the start of a process, before its threads.

    Memory of a thread's own is not given back from its end, so all share one (`M_ARENA_MAX`), and what is large is the
    system's at once (`M_MMAP_THRESHOLD`), which glibc gives up otherwise with the first that is freed.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_ARENA_MAX, 1)
        libc.mallopt(_M_MMAP_THRESHOLD, _MIB)


def _trim() -> None:
    """Give back what is left of many small things."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None
