"""Shadows: copies of requests, sent after the answer, in so small a number that they slow nothing down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Final

_MAX_UNDER_WAY: Final = 16

log = logging.getLogger(__name__)


class Shadows:
    """The shadows of one worker. Beyond `_MAX_UNDER_WAY`, copies are not sent."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, shadow: Coroutine[None, None, None]) -> None:
        """Starts a shadow, unless too many are under way."""
        if len(self._tasks) >= _MAX_UNDER_WAY:
            shadow.close()
            log.info("a shadow is not sent: %d are under way", len(self._tasks))
            return
        task = asyncio.create_task(shadow)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Cancels all shadows; each is recorded."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a shadow failed", exc_info=error)
