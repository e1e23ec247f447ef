"""The attempts of a request: calls the deployments that routing picks, one after another, until one answers.

1. `Attempts.next` gives the next step: a deployment to try, or a pause before a retry.
2. The deployment is called, for as long as its patience lasts.
3. A failure is reported to routing (`Attempts.failed`), which decides what is next.
4. When nothing is left, the client gets the error of the attempts, and the names of all that were tried.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from weebill.gateway.failures import FAILED, client_error, upstream_failure
from weebill.gateway.meter import MAX_DROPPED, Meter, Spending
from weebill.gateway.rate_limited_log import RateLimitedLog
from weebill.routing.attempts import Attempts
from weebill.routing.steps import Pause, Try
from weebill.transport.errors import PoolFull, ProxyRefused, UpstreamError, UpstreamTimeout
from weebill.transport.exchange import Exchange
from weebill.usage.records import Outcome
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure

R = TypeVar("R")
# Calls an upstream until there is something to answer with. Raises one of FAILED.
Open = Callable[[Try, Spending], Awaitable[R]]

_NOT_SHOWN: Final = re.compile(r"[^\x21-\x7e ]")
# The number of images of which the model was given the text.
_READ_LINE: Final = b"x-weebill-ocr: %d\r\n"

# Client headers that identify for whom a request is made (tracing headers do not).
_FOR_WHOM: Final = re.compile(rb"auth|key|token|org|project|account|tenant|cookie")

log = logging.getLogger(__name__)


def deadline_of(exchange: Exchange, meter: Meter, longest_s: float) -> float:
    """Returns the time of `time.monotonic()` by which the answer must have begun. Raises ApiError 400 for an invalid
    timeout.
    """
    timeout_s = meter.timeout_s
    if timeout_s >= longest_s:
        return exchange.started_at + longest_s
    if timeout_s > 0:
        return exchange.started_at + timeout_s
    message = "X-Weebill-Timeout must be a number of seconds greater than 0."
    raise ApiError(400, message, code="invalid_value", param="x-weebill-timeout")


async def first_answered(
    attempts: Attempts, exchange: Exchange, meter: Meter, opening: Open[R], limited_log: RateLimitedLog
) -> R:
    """Returns the result of the first attempt that is answered; nothing has been sent to the client by then. Raises the
    ApiError for the client if none is.
    """
    blame: Outcome | None = None
    meter.trying = attempts
    now = time.monotonic()
    while (step := attempts.next(now)) is not None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            now = time.monotonic()
            continue
        deployment = step.deployment
        meter.begin(deployment)
        try:
            if deployment.upstream is None or step.patience_s >= deployment.upstream.patience_s:
                opened = await opening(step, meter)
            else:
                opened = await _within(step, opening(step, meter))
        except FAILED as failure:
            now = time.monotonic()
            if isinstance(failure, UpstreamFailure):
                _narrow(failure, exchange, attempts)
            _failed(attempts, meter, failure, now, limited_log)
            blame = blame or meter.blame
        except BaseException:
            attempts.cancelled()
            raise
        else:
            meter.route = attempts.trace(meter.first_byte_at or time.monotonic())
            if meter.dropped:
                meter.route += dropped_line(meter.dropped)
            if meter.images_read:
                meter.route += _READ_LINE % meter.images_read
            return opened
    meter.blame = blame or "upstream_error"
    meter.route = attempts.trace(now)
    log_attempts(attempts, exchange, meter, "none")
    raise given_up(attempts)


def given_up(attempts: Attempts) -> ApiError:
    """Returns the error for the client, with all that was tried."""
    error, tried = client_error(attempts.error()), attempts.tried()
    return error.saying(f"{error.detail.message} (Tried {tried}.)") if tried else error


def known_so_far(meter: Meter) -> bytes:
    """Returns the header lines about the attempts so far, for a head that is sent before any has answered."""
    trying = meter.trying
    if trying is None:
        return b""
    route = trying.so_far(time.monotonic())
    if meter.images_read:
        route += _READ_LINE % meter.images_read
    return route + dropped_line(meter.dropped) if meter.dropped else route


def dropped_line(dropped: tuple[str, ...]) -> bytes:
    """Returns the header line with the request's fields that were passed over."""
    # The names come from the client; a header cannot hold all characters.
    names = _NOT_SHOWN.sub("?", ", ".join(dropped))[:MAX_DROPPED]
    return f"x-weebill-dropped: {names}\r\n".encode()


def log_attempts(attempts: Attempts, exchange: Exchange, meter: Meter, answered: str) -> None:
    """Notes the attempts in the record and in the log, if there were several."""
    if len(attempts.log) < 2:
        return
    meter.attempts = tried = attempts.summary()
    log.info(
        "several attempts",
        extra={"request": exchange.request_id, "tried": tried, "answered": answered, "policy": attempts.policy},
    )


def _narrow(failed: UpstreamFailure, exchange: Exchange, attempts: Attempts) -> None:
    """Limits a failure to this request if the client's own credentials were forwarded, as they may be at fault."""
    upstream = attempts.deployment.upstream
    if upstream is None or not upstream.forward_headers:
        return
    if any(name in upstream.forward_headers and _FOR_WHOM.search(name) for name, _ in exchange.headers):
        failed.failure = failed.failure._replace(scope="request")


async def _within(step: Try, opening: Awaitable[R]) -> R:
    """Awaits `opening` for as long as the step has time. Raises UpstreamTimeout."""
    try:
        async with asyncio.timeout(step.patience_s) as limit:
            return await opening
    except TimeoutError:
        if not limit.expired():
            raise
        raise UpstreamTimeout("first_byte") from None


def log_what_is_not_told(failure: UpstreamError, upstream: str, now: float, limited_log: RateLimitedLog) -> None:
    """Logs the details of a failure that clients are not shown, at most once in a while for each upstream."""
    if failure.public_message == str(failure) or not limited_log.is_due(upstream, now):
        return
    if isinstance(failure, ProxyRefused):
        log.warning("no way through the proxy for %s: %s", upstream, failure, extra={"said": failure.text})
    else:
        log.warning("no way to %s: %s", upstream, failure)


def _failed(
    attempts: Attempts,
    meter: Meter,
    failure: ApiError | UpstreamFailure | UpstreamError,
    now: float,
    limited_log: RateLimitedLog,
) -> None:
    """Reports a failed attempt to routing."""
    sent = meter.sent and not isinstance(failure, PoolFull)
    status = meter.status if meter.status >= 400 else 0
    if isinstance(failure, UpstreamError):
        log_what_is_not_told(failure, meter.upstream, now, limited_log)
        failure, meter.blame = upstream_failure(failure, meter.upstream)
    attempts.failed(failure, now, status=status, sent=sent)
