"""Hedging: asks a second deployment if the first is unusually slow.

1. The first attempt starts; most have answered before the delay that routing gives.
2. After the delay, the attempts fork, and the fork calls another deployment.
3. The one that begins to answer first wins; the other is cancelled. Both are charged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from weebill.gateway.attempting import Open, first_answered, given_up
from weebill.gateway.meter import Meter
from weebill.gateway.opened import OpenedResponse
from weebill.gateway.rate_limited_log import RateLimitedLog
from weebill.routing.attempts import Attempts
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

log = logging.getLogger(__name__)


async def hedged(
    attempts: Attempts,
    exchange: Exchange,
    meter: Meter,
    opening: Open[OpenedResponse],
    limited_log: RateLimitedLog,
    give_up: Callable[[OpenedResponse], None],
    *,
    stream: bool,
) -> tuple[OpenedResponse, Attempts]:
    """Returns the attempt that is answered first, and the attempts it belongs to; `give_up` releases the one that comes
    second. Raises the ApiError for the client if none is answered.
    """
    others: Attempts | None = None
    parallel = meter.parallel()
    first = asyncio.create_task(first_answered(attempts, exchange, meter, opening, limited_log))
    second: asyncio.Task[OpenedResponse] | None = None
    try:
        await asyncio.wait({first}, timeout=attempts.hedge_after(stream=stream))
        others = None if first.done() else attempts.fork(time.monotonic())
        if others is None:
            return await first, attempts
        begun = len(others.log)
        second = asyncio.create_task(first_answered(others, exchange, parallel, opening, limited_log))
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
            meter.absorb(parallel)
            return first.result(), attempts
        await _drop(first, attempts, give_up)
        meter.take(parallel)
        return second.result(), others
    except BaseException:
        await _drop(first, attempts, give_up)
        if second is not None and others is not None:
            await _drop(second, others, give_up)
            meter.absorb(parallel)
        raise


def _answered(opened: asyncio.Task[OpenedResponse]) -> bool:
    return opened.done() and not opened.cancelled() and opened.exception() is None


async def _drop(
    opened: asyncio.Task[OpenedResponse], attempts: Attempts, give_up: Callable[[OpenedResponse], None]
) -> None:
    """Cancels an attempt that is not needed; one that has failed is left as it is."""
    opened.cancel()
    # `wait`, not the attempt itself: a cancellation of this task must not look like the attempt's end.
    await asyncio.wait({opened})
    if opened.cancelled():
        return
    failure = opened.exception()
    if failure is None:
        # It was answered at that very moment.
        attempts.cancelled()
        give_up(opened.result())
    elif not isinstance(failure, ApiError):
        log.error("an attempt that is not needed failed", exc_info=failure)
