"""Reports of one worker to the learner: sent in batches, in the background, so that no request waits for them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import islice
from typing import Final

from msgspec import Raw, structs

from weebill.auto.learning import TOPIC, Audited, Decided, Pair, Report
from weebill.process.questions import Unanswered

_INTERVAL_S: Final = 0.5
_RETRY_S: Final = 2.0
_MOST_WAITING: Final = 10_000
_MOST_SENT: Final = 1000
_MOST_CHARS: Final = 16 << 20  # of the texts that wait: one report has room for all of them
_LAST_S: Final = 2.0  # limit of the wait for the last report

Ask = Callable[[str, object], Awaitable[Raw]]

log = logging.getLogger(__name__)


class Reporter:
    """Reports what it is given within half a second, in this order. Belongs to one loop.

    What does not fit into the queue while the learner is down is lost, and the loss is logged.
    """

    def __init__(self, ask: Ask) -> None:
        """`ask` puts a question to the learner. Raises Unanswered."""
        self._ask = ask
        self._waiting: dict[Pair, deque[Decided | Audited]] = {}
        self._chars = 0
        self._task: asyncio.Task[None] | None = None
        self.lost = 0

    @property
    def waiting(self) -> int:
        """The number of decisions and audits that are still to be reported."""
        return sum(map(len, self._waiting.values()))

    def report(self, pair: Pair, what: Decided | Audited) -> None:
        """Queues a decision, or an audit of one that was queued before; texts without room are left out."""
        if self.waiting >= _MOST_WAITING:
            if not self.lost:
                log.warning("decisions of `auto` are not learnt from: the learner takes no reports")
            self.lost += 1
            return
        chars = _chars(what)
        if isinstance(what, Audited) and self._chars + chars > _MOST_CHARS:
            what, chars = structs.replace(what, content=None), 0
        self._chars += chars
        self._waiting.setdefault(pair, deque()).append(what)
        if self._task is None:
            self._task = asyncio.create_task(self._send(), name="report to the learner")

    async def close(self) -> None:
        """Sends the last report, if the learner is there to take it."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        with suppress(Unanswered, TimeoutError):
            async with asyncio.timeout(_LAST_S):
                while self._waiting:
                    await self._send_all()

    async def _send(self) -> None:
        while self._waiting:
            await asyncio.sleep(_INTERVAL_S)
            try:
                await self._send_all()
            except Unanswered as error:
                log.debug("the learner takes no report: %s", error)
                await asyncio.sleep(_RETRY_S)
        self._task = None
        if self.lost:
            log.warning("the learner takes reports again; %d decisions and audits were lost", self.lost)
            self.lost = 0

    async def _send_all(self) -> None:
        """Sends a report about each pair, and forgets what is kept then. Raises Unanswered."""
        for pair, waiting in list(self._waiting.items()):
            batch = tuple(islice(waiting, _MOST_SENT))
            decided = tuple(each for each in batch if isinstance(each, Decided))
            audited = tuple(each for each in batch if isinstance(each, Audited))
            try:
                await self._ask(TOPIC, Report(pair, decided, audited))
            except Unanswered:
                raise
            except Exception:  # whatever it is: what comes after it must not wait for ever
                log.exception("a report cannot be sent, and is passed over")
            for each in batch:
                waiting.popleft()
                self._chars -= _chars(each)
            if not waiting:
                del self._waiting[pair]


def _chars(what: Decided | Audited) -> int:
    """Returns the length of the texts that are to be kept."""
    content = what.content if isinstance(what, Audited) else None
    return 0 if content is None else len(content.question) + len(content.small) + len(content.large)
