"""The attempts of a request: calls what routing says, until one is answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from weebill.gateway.failures import upstream_failure
from weebill.gateway.meter import Meter, Spending
from weebill.ledger.records import Outcome
from weebill.routing.attempts import Attempts
from weebill.routing.steps import Pause, Try
from weebill.transport.errors import PoolFull, UpstreamError, UpstreamTimeout
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError

_OWN_HEADER: Final = b"x-weebill-timeout"
# What OpenAI's and Anthropic's SDKs say of the time they wait for the next byte. They began to wait before we did, and
# so will have left by then; it is for leaving time to others that it counts.
_SDK_HEADER: Final = b"x-stainless-read-timeout"
_OTHER_SDK_HEADER: Final = b"x-stainless-timeout"

Leg = TypeVar("Leg")
# Calls an upstream until there is something to answer with. Raises ApiError or UpstreamError.
Open = Callable[[Try, Spending], Awaitable[Leg]]

log = logging.getLogger(__name__)


def deadline_of(exchange: Exchange, longest_s: float) -> float:
    """When the client wants its answer to have begun, of `time.monotonic()`. Raises ApiError 400 for no number."""
    fields = exchange.head.fields
    said = fields.get(_OWN_HEADER)
    if said is not None:
        seconds = _seconds(said)
        if seconds is None:
            message = "X-Weebill-Timeout must be a number of seconds greater than 0."
            raise ApiError(400, message, code="invalid_value", param="x-weebill-timeout")
        return exchange.started_at + min(seconds, longest_s)
    said = fields.get(_SDK_HEADER) or fields.get(_OTHER_SDK_HEADER)
    seconds = None if said is None else _seconds(said)
    if seconds is not None and seconds < longest_s:
        return exchange.started_at + seconds
    return exchange.started_at + longest_s


async def first_answered(attempts: Attempts, exchange: Exchange, meter: Meter, open_leg: Open[Leg], now: float) -> Leg:
    """What the first attempt that is answered gives; nothing has been sent to the client by then.

    Raises ApiError: what the client is to be told when none was.
    """
    blame: Outcome | None = None
    while (step := attempts.next(now)) is not None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            now = time.monotonic()
            continue
        deployment = step.deployment
        meter.begin(deployment)
        try:
            if deployment.upstream is None or step.patience_s >= deployment.upstream.patience_s:
                leg = await open_leg(step, meter)
            else:
                leg = await _within(step, open_leg(step, meter))
        except (ApiError, UpstreamError) as failure:
            now = time.monotonic()
            _failed(attempts, meter, failure, now)
            blame = blame or meter.blame
        except BaseException:
            attempts.cancelled()
            raise
        else:
            meter.route = attempts.trace(meter.first_byte_at or time.monotonic())
            return leg
    meter.blame = blame or "upstream_error"
    meter.route = attempts.trace(now)
    tell(attempts, exchange, meter, "none")
    raise attempts.error()


def tell(attempts: Attempts, exchange: Exchange, meter: Meter, answered: str) -> None:
    """Note who was tried, in the record and in the log, where there were several."""
    if len(attempts.log) < 2:
        return
    meter.attempts = tried = attempts.summary()
    log.info(
        "several attempts",
        extra={"request": exchange.request_id, "tried": tried, "answered": answered, "policy": attempts.policy},
    )


async def _within(step: Try, opening: Awaitable[Leg]) -> Leg:
    """A leg that is opened in time. Raises UpstreamTimeout."""
    try:
        async with asyncio.timeout(step.patience_s) as limit:
            return await opening
    except TimeoutError:
        if not limit.expired():
            raise
        raise UpstreamTimeout("first_byte") from None


def _failed(attempts: Attempts, meter: Meter, failure: ApiError | UpstreamError, now: float) -> None:
    """Tell routing."""
    sent = meter.sent and not isinstance(failure, PoolFull)
    status = meter.status if meter.status >= 400 else 0
    if isinstance(failure, UpstreamError):
        failure, meter.blame = upstream_failure(failure, meter.upstream)
    attempts.failed(failure, now, status=status, sent=sent)


def _seconds(value: bytes) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if 0 < seconds < float("inf") else None
