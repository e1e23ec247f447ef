"""Runs work on the model folder in processes of its own, a few at once, and passes on what they tell."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from weebill.models.jobs import Failure, Job, Step, Task, Told
from weebill.wire.errors import ApiError

_MOST_AT_ONCE: Final = 4
_MOST_LINE_BYTES: Final = 1 << 20

_decode: Final = msgspec.json.Decoder(Told).decode

log = logging.getLogger(__name__)


class WorkError(Exception):
    """Work that failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class StoreWork:
    """Runs jobs."""

    def __init__(self) -> None:
        self._running = 0

    async def run(self, folder: Path, job: Job, engine: str = "auto") -> AsyncGenerator[Step, None]:
        """Does a job for an installation with this engine, and yields its steps; a caller that leaves ends it.

        Raises ApiError 503 if there are too many at once, and WorkError.
        """
        if self._running >= _MOST_AT_ONCE:
            raise ApiError(
                503,
                f"{_MOST_AT_ONCE} models are being pulled or made already; try again when one is done.",
                code="store_busy",
                retry_after=10,
            )
        self._running += 1
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "weebill.models.work"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_MOST_LINE_BYTES,
                # A Ctrl-C on the terminal is for the supervisor.
                start_new_session=True,
            )
            try:
                async for step in _told(process, Task(folder=str(folder), job=job, engine=engine)):
                    yield step
            finally:
                if process.returncode is None:
                    process.kill()
                await process.wait()
        finally:
            self._running -= 1


async def _told(process: asyncio.subprocess.Process, task: Task) -> AsyncIterator[Step]:
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(msgspec.json.encode(task) + b"\n")
    async for line in process.stdout:
        told = _decode(line)
        if told.failure is not None:
            raise WorkError(told.failure)
        if told.step is not None:
            yield told.step
    if await process.wait() != 0:
        log.error("work on the model folder ended with status %s", process.returncode)
        raise WorkError(Failure(message="The work on the model folder broke off; the log says why.", status=500))
