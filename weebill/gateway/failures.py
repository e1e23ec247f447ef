"""What a client is told when an upstream cannot be reached, is too slow, or breaks off."""

from __future__ import annotations

import re
import time
from typing import Final

from msgspec import structs

from weebill.ledger.records import Outcome
from weebill.providers import waits
from weebill.providers.failures import classify
from weebill.routing.credentials import Credential
from weebill.routing.deployments import LOCAL, Upstream
from weebill.transport.errors import PoolFull, ProxyRefused, UpstreamError, UpstreamTimeout
from weebill.transport.response import Response
from weebill.wire.errors import ApiError
from weebill.wire.failure import Failure

_RESTART_S = 1
_NO_SUCH_PATH: Final = frozenset({404, 405})
_NO_SUCH_ENDPOINT: Final = frozenset({404, 405, 501})
_VERSION: Final = re.compile(r"/v\d")
# What is between a provider and the operator of the gateway.
_OPERATORS: Final = frozenset({"credential", "quota"})
_MIN_SECRET: Final = 8


def unmetered() -> ApiError:
    """What cannot be recorded is not served."""
    return ApiError(503, "Usage cannot be recorded right now.", code="metering_unavailable", retry_after=1)


def upstream_failure(error: UpstreamError, upstream: str, *, in_full: bool = False) -> tuple[ApiError, Outcome]:
    """The client's error and the record's outcome for a failed exchange with `upstream`.

    Where it is, and what the operating system says, are for its operator alone, to whom it is told `in_full`.
    """
    why = str(error) if in_full else error.told
    if isinstance(error, UpstreamTimeout):
        message = f"The upstream '{upstream}' did not answer in time ({why})."
        return ApiError(504, message, code="upstream_timeout"), "timeout"
    if upstream == LOCAL and isinstance(error, PoolFull):
        message = f"The local model has too much to do ({why}). Try again in a moment."
        return ApiError(503, message, code="overloaded", retry_after=_RESTART_S), "upstream_error"
    if upstream == LOCAL:
        # Its host has died or is being restarted, which takes a moment.
        message = f"The local model is not available right now ({why}). Try again in a moment."
        return ApiError(503, message, code="model_unavailable", retry_after=_RESTART_S), "upstream_error"
    code = "upstream_proxy_refused" if isinstance(error, ProxyRefused) else "upstream_failed"
    return ApiError(502, f"The upstream '{upstream}' failed: {why}.", code=code), "upstream_error"


def upstream_said(
    error: ApiError, status: int, body: bytes, upstream: Upstream, credential: Credential, path: bytes
) -> ApiError:
    """What an upstream's answer with another status than 200 means, with what it says besides, and whose it is.

    `path` is what was asked for below the upstream's base URL. Nothing that holds the credential is passed on.
    """
    failure = classify(error)
    if failure.kind not in _OPERATORS and not _tells(credential, body):
        error = error.with_more(body)
    if status not in _NO_SUCH_PATH or upstream.name == LOCAL:
        return error
    where = (upstream.path + path).partition(b"?")[0].decode("latin-1")
    said = f"The upstream '{upstream.name}' answered {status} at {where}"
    if _lacks_model(failure):
        return error.saying(f"{said}: {error.detail.message}")
    hint = ":" if _VERSION.search(where) else "; is `/v1` missing from its base_url? It said:"
    told = error.saying(f"{said}{hint} {error.detail.message}")
    if status == 404 and error.detail.code is None:
        told.detail = structs.replace(told.detail, code="upstream_not_found")
    return told


def lacks_endpoint(error: ApiError, status: int) -> bool:
    """Tells whether an upstream that answered so does not have what was asked for, rather than the model."""
    return status in _NO_SUCH_ENDPOINT and not _lacks_model(classify(error))


def _lacks_model(failure: Failure) -> bool:
    return failure.kind == "not_found" and failure.scope == "model"


def _tells(credential: Credential, body: bytes) -> bool:
    """Tells whether a body holds a secret that was sent."""
    values = (line.partition(b":")[2].strip().rpartition(b" ")[2] for line in credential.lines.split(b"\r\n"))
    return any(len(value) >= _MIN_SECRET and value in body for value in values)


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
