"""Asking another deployment too when the first is unusually slow: whoever begins first answers, and both are paid."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from weebill.gateway.attempting import Open, first_answered, given_up
from weebill.gateway.meter import Meter
from weebill.gateway.opened import OpenedResponse
from weebill.gateway.seldom import SeldomLog
from weebill.routing.attempts import Attempts
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

log = logging.getLogger(__name__)


async def hedged(
    attempts: Attempts,
    exchange: Exchange,
    meter: Meter,
    opening: Open[OpenedResponse],
    seldom: SeldomLog,
    give_up: Callable[[OpenedResponse], None],
    *,
    stream: bool,
) -> tuple[OpenedResponse, Attempts]:
    """The first attempt that is answered, and the attempts that it is of; `give_up` lets go of one that comes second.

    Raises ApiError: what the client is to be told when none was.
    """
    others: Attempts | None = None
    besides = meter.besides()
    first = asyncio.create_task(first_answered(attempts, exchange, meter, opening, seldom))
    second: asyncio.Task[OpenedResponse] | None = None
    try:
        await asyncio.wait({first}, timeout=attempts.hedge_after(stream=stream))
        others = None if first.done() else attempts.fork(time.monotonic())
        if others is None:
            return await first, attempts
        begun = len(others.log)
        second = asyncio.create_task(first_answered(others, exchange, besides, opening, seldom))
        await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        if not (_answered(first) or _answered(second)):
            await asyncio.wait({first, second})
        if not _answered(first) and not _answered(second):
            attempts.log = (*attempts.log, *others.log[begun:])
            if not isinstance(first.exception(), ApiError):
                first.result()
            raise given_up(attempts)
        if _answered(first):
            await _drop(second, others, give_up)
            meter.absorb(besides)
            return first.result(), attempts
        await _drop(first, attempts, give_up)
        meter.take(besides)
        return second.result(), others
    except BaseException:
        await _drop(first, attempts, give_up)
        if second is not None and others is not None:
            await _drop(second, others, give_up)
            meter.absorb(besides)
        raise


def _answered(opened: asyncio.Task[OpenedResponse]) -> bool:
    return opened.done() and not opened.cancelled() and opened.exception() is None


async def _drop(
    opened: asyncio.Task[OpenedResponse], attempts: Attempts, give_up: Callable[[OpenedResponse], None]
) -> None:
    """End an attempt that is not needed; nothing if it has failed by itself."""
    opened.cancel()
    # Not the attempt itself: that this task is cancelled meanwhile must not be taken for the attempt's end.
    await asyncio.wait({opened})
    if opened.cancelled():
        return
    failure = opened.exception()
    if failure is None:
        # It was answered in the very moment.
        attempts.cancelled()
        give_up(opened.result())
    elif not isinstance(failure, ApiError):
        log.error("an attempt that is not needed failed", exc_info=failure)
