"""A process that works on images for this worker, started by the first image and ended when there are none for a while.

It does one job at a time, so the image that ends it is known. A client that leaves does not end a job that has begun,
as the process would have to be started anew; the time of a job is bounded by the kernel (`images.host`), and here once
more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import Counter
from contextlib import suppress
from typing import Final

import msgspec

from weebill.images.errors import ImageError, ImagesBusyError
from weebill.images.jobs import MOST_LINE, PATIENCE, Done, Job, Work

# Jobs that may wait, and the seconds that one waits at most.
_MOST_WAITING: Final = 32
_WAIT_S: Final = 120.0
# To be started, while much else starts.
_START_S: Final = 60.0
# Beyond a job's own limit.
_MARGIN_S: Final = 2.0
_IDLE_S: Final = 300.0
# Of the environment, what a Python needs to start; the rest may hold secrets.
_ENVIRONMENT: Final = frozenset(
    {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR"}
)

log = logging.getLogger(__name__)


class ImageProcess:
    """A process for one kind of work. Belongs to one loop."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._waiting_of: Counter[str] = Counter()
        self._idle: asyncio.TimerHandle | None = None
        self._jobs: set[asyncio.Task[bytes]] = set()

    @property
    def running(self) -> bool:
        """True while there is a process."""
        return self._process is not None and self._process.returncode is None

    async def result(self, image: str | bytes, key: str = "") -> bytes:
        """Returns the result for an image, given in base64 or as it is, for a request of `key`.

        A key takes at most as many places in the queue as are still free. Raises ImageError for the image,
        ImagesBusyError if too many wait.
        """
        if self._waiting_of[key] >= _MOST_WAITING - self._waiting_of.total():
            raise ImagesBusyError
        self._waiting_of[key] += 1
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise ImagesBusyError from None
        finally:
            self._waiting_of[key] -= 1
            if not self._waiting_of[key]:
                del self._waiting_of[key]
        job = asyncio.create_task(self._done(image), name=f"image {self._work.task}")
        self._jobs.add(job)
        job.add_done_callback(self._forget)
        return await asyncio.shield(job)

    async def close(self) -> None:
        """Ends the process."""
        for job in self._jobs:
            job.cancel()
        process = self._process
        self._end()
        if self._idle is not None:
            self._idle.cancel()
        if process is not None:
            await process.wait()

    def _forget(self, job: asyncio.Task[bytes]) -> None:
        self._jobs.discard(job)
        if not job.cancelled():
            job.exception()  # its client may have left

    async def _done(self, image: str | bytes) -> bytes:
        """Does a job, and gives the turn to the next."""
        try:
            if self._idle is not None:
                self._idle.cancel()
            done, result = await self._answered(image)
        except BaseException:
            # Whatever it was doing, its next answer would be to the last question.
            self._end()
            raise
        finally:
            self._idle = asyncio.get_running_loop().call_later(_IDLE_S, self._end)
            self._turn.release()
        if done.problem:
            raise ImageError(done.problem)
        return result

    async def _answered(self, image: str | bytes) -> tuple[Done, bytes]:
        """Returns what the process says of an image. Raises ImageError if the image has ended it."""
        process = self._process
        if process is None or not self.running:
            process = await self._started()
        assert process.stdin is not None  # noqa: S101 - it has pipes
        is_base64 = isinstance(image, str)
        data = image.encode() if isinstance(image, str) else image
        process.stdin.write(msgspec.json.encode(Job(size=len(data), base64=is_base64)) + b"\n")
        process.stdin.write(data)
        try:
            async with asyncio.timeout(self._work.seconds * PATIENCE + _MARGIN_S):
                with suppress(ConnectionError):  # what it has said says why
                    await process.stdin.drain()
                return await _read(process)
        except (TimeoutError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
            log.warning("an image has ended the process that works on images", extra={"work": self._work.task})
            limit = f"{self._work.seconds:g} s of a processor"
            raise ImageError(f"working on it takes more than {limit}, or more memory than it may have") from error

    async def _started(self) -> asyncio.subprocess.Process:
        """Starts the process. Raises ImagesBusyError if it does not start."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "weebill.images",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
            limit=MOST_LINE,
        )
        assert process.stdin is not None  # noqa: S101 - as above
        process.stdin.write(msgspec.json.encode(self._work) + b"\n")
        try:
            async with asyncio.timeout(_START_S):
                await _read(process)
        except (TimeoutError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
            log.error("the process that works on images does not start", extra={"work": self._work.task})
            raise ImagesBusyError from error
        return process

    def _end(self) -> None:
        if self._process is not None and self.running:
            with suppress(ProcessLookupError):
                self._process.kill()
        self._process = None


async def _read(process: asyncio.subprocess.Process) -> tuple[Done, bytes]:
    """Returns what the process says next. Raises IncompleteReadError if it has ended."""
    assert process.stdout is not None  # noqa: S101 - it has pipes
    done = msgspec.json.decode(await process.stdout.readuntil(b"\n"), type=Done)
    return done, await process.stdout.readexactly(done.size)
