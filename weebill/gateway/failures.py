"""What a client is told when an upstream cannot be reached, is too slow, or breaks off."""

from __future__ import annotations

import time

from weebill.ledger.records import Outcome
from weebill.providers import waits
from weebill.routing.deployments import LOCAL
from weebill.transport.errors import ProxyRefused, UpstreamError, UpstreamTimeout
from weebill.transport.response import Response
from weebill.wire.errors import ApiError

_RESTART_S = 1


def upstream_failure(error: UpstreamError, upstream: str) -> tuple[ApiError, Outcome]:
    """The client's error and the record's outcome for a failed exchange with `upstream`."""
    if isinstance(error, UpstreamTimeout):
        message = f"The upstream '{upstream}' did not answer in time ({error})."
        return ApiError(504, message, code="upstream_timeout"), "timeout"
    if upstream == LOCAL:
        # Its host has died or is being restarted, which takes a moment.
        message = f"The local model is not available right now ({error}). Try again in a moment."
        return ApiError(503, message, code="model_unavailable", retry_after=_RESTART_S), "upstream_error"
    code = "upstream_proxy_refused" if isinstance(error, ProxyRefused) else "upstream_failed"
    return ApiError(502, f"The upstream '{upstream}' failed: {error}.", code=code), "upstream_error"


def model_unavailable(model: str) -> ApiError:
    """For a local model whose host is starting or being restarted."""
    message = f"The model '{model}' is loading or being restarted. Try again in a moment."
    return ApiError(503, message, code="model_unavailable", retry_after=_RESTART_S)


def overloaded(model: str) -> ApiError:
    """For a deployment with as many requests under way and waiting as it may have."""
    message = f"The model '{model}' has as many requests waiting as it may have. Try again in a moment."
    return ApiError(503, message, code="overloaded", retry_after=_RESTART_S)


def retry_after_seconds(response: Response) -> float | None:
    """How long an upstream's refusal asks to wait."""
    return waits.retry_after(response.status, response.headers, time.time())
