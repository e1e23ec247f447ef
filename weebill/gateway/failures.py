"""Turns failures of upstreams into errors for clients. This is the only place that does.

1. An upstream's answer with an error status becomes an `UpstreamFailure` in its dialect; `upstream_said` adds where.
2. A broken exchange, an `UpstreamError` of the transport, becomes one in `upstream_failure`.
3. Routing decides by `Failure` alone; what the client gets is made by `client_error`.
"""

from __future__ import annotations

import re
import time
from typing import Final

from weebill.providers import waits
from weebill.providers.failures import is_page, whose
from weebill.providers.signs import FILTER_CODES
from weebill.routing.credentials import Credential, own_key_refused
from weebill.routing.deployments import LOCAL, Upstream
from weebill.transport.errors import PoolFull, ProxyRefused, UpstreamError, UpstreamTimeout
from weebill.transport.response import Response
from weebill.usage.records import Outcome
from weebill.wire.errors import ApiError, more_of
from weebill.wire.failure import Failure, FailureKind, UpstreamFailure

FAILED: Final = (ApiError, UpstreamFailure, UpstreamError)
"""The exceptions that end an attempt: the gateway's refusals, upstreams' failures, and broken exchanges."""
_RESTART_S = 1
_NO_SUCH_PATH: Final = frozenset({404, 405})
_NO_SUCH_ENDPOINT: Final = frozenset({404, 405, 501})
_VERSION: Final = re.compile(r"/v\d")
# The ends of base URLs, by the first part of the path below: Ollama's, Amazon's and Azure's own have none.
_BASES: Final = {b"api": "", b"model": "", b"openai": "", b"models": "/v1beta"}
_BASE: Final = "/v1"
# Kinds that are between the provider and the operator of the gateway.
_OPERATORS: Final = frozenset({"credential", "quota"})
_MIN_SECRET: Final = 8
_NO_SECRETS: Final = frozenset({b"host", b"accept", b"accept-encoding"})
_TITLE: Final = re.compile(r"<title>\s*([^<]{1,200})", re.IGNORECASE)
# The client's status if the upstream gave none, and the code.
_TOLD: Final[dict[FailureKind, tuple[int, str | None]]] = {
    "network": (502, "upstream_failed"),
    "timeout": (504, "upstream_timeout"),
    "overloaded": (503, "upstream_overloaded"),
    "server": (502, "upstream_error"),
    "invalid_answer": (502, "upstream_invalid_answer"),
    "rate_limited": (429, "rate_limit_exceeded"),
    # As OpenAI answers its own customers; waiting does not help the client.
    "quota": (429, "insufficient_quota"),
    "credential": (502, "upstream_credential_refused"),
    "forbidden": (403, "upstream_forbidden"),
    "not_found": (404, None),
    "unsupported": (400, None),
    "context_length": (400, "context_length_exceeded"),
    "content_filter": (400, "content_filter"),
    "invalid_request": (400, None),
}
# Kinds that upstreams report with various statuses, or codes of their own.
_ONE_STATUS: Final = frozenset({"overloaded", "quota", "credential", "forbidden", "content_filter"})
_ONE_CODE: Final = frozenset({"quota", "credential", "context_length", "content_filter"})
_UNREACHED: Final = Failure("network", "provider")
_SLOW: Final = Failure("timeout", "model")
_RESTARTED: Final = Failure("overloaded", "model", 0, _RESTART_S)
_BUSY: Final = Failure("overloaded", "request", 0, _RESTART_S)


def unmetered() -> ApiError:
    """Returns the error for requests while nothing can be recorded: unmetered requests are not served."""
    return ApiError(503, "Usage cannot be recorded right now.", code="metering_unavailable", retry_after=1)


def client_error(failed: ApiError | UpstreamFailure) -> ApiError:
    """Returns the client's error for a failure, with its wait. An ApiError, which is the gateway's own, stays
    as it is.
    """
    if isinstance(failed, ApiError):
        return failed
    failure, message, own = failed.failure, failed.message, failed.code
    kind, status = failure.kind, failure.status
    unsaid, code = _TOLD[kind]
    if status < 400 or kind in _ONE_STATUS:
        status = unsaid
    if kind == "not_found" and failure.scope == "model":
        status, code = 404, "model_not_found"
    elif own in FILTER_CODES or kind not in _ONE_CODE:
        code = own or code
    if failed.own_key and kind in _OPERATORS:
        return own_key_refused(
            whose(failed.upstream), kind, f" (status {failure.status}): {message}", failure.retry_after
        )
    if kind == "credential":
        # The credential is the operator's; the client must not look for the fault in its own key.
        message = f"{whose(failed.upstream)} refused Weebill's credential (status {failure.status}): {message}"
    elif kind == "forbidden":
        message = f"{whose(failed.upstream)} refused this request (status {failure.status}): {_shown(message)}"
    error = ApiError(
        status,
        message,
        code=code,
        param=None if kind in _OPERATORS else failed.param,
        type=None if kind in _OPERATORS or kind == "forbidden" else failed.type,
        retry_after=failure.retry_after,
    )
    error.more = more_of(failed.body)
    return error


def _shown(said: str) -> str:
    """Returns an HTML page's title; other text as it is."""
    title = _TITLE.search(said) if is_page(said) else None
    return said if title is None else f"{title[1].strip()} (a page, not an answer)"


def upstream_failure(error: UpstreamError, upstream: str, *, in_full: bool = False) -> tuple[UpstreamFailure, Outcome]:
    """Returns a broken exchange with `upstream` as a failure, and the outcome for the record.

    Addresses and the operating system's messages are for the operator, who gets them `in_full`.
    """
    why = str(error) if in_full else error.public_message
    if isinstance(error, UpstreamTimeout):
        return UpstreamFailure(_SLOW, f"{whose(upstream)} did not answer in time ({why})."), "timeout"
    if upstream == LOCAL and isinstance(error, PoolFull):
        message = f"The local model has too much to do ({why}). Try again in a moment."
        return UpstreamFailure(_BUSY, message, code="overloaded"), "upstream_error"
    if upstream == LOCAL:
        # Its host died or is being restarted, which takes a moment.
        message = f"The local model is not available right now ({why}). Try again in a moment."
        return UpstreamFailure(_RESTARTED, message, code="model_unavailable"), "upstream_error"
    code = "upstream_proxy_refused" if isinstance(error, ProxyRefused) else None
    return UpstreamFailure(_UNREACHED, f"{whose(upstream)} failed: {why}.", code=code), "upstream_error"


def upstream_said(
    failed: UpstreamFailure, body: bytes, upstream: Upstream, credential: Credential, path: bytes
) -> UpstreamFailure:
    """Completes the failure that an error answer means with the upstream, its body and advice.

    `path` is the request's, below the upstream's base URL. A body that holds the credential is not passed on.
    """
    failure, status = failed.failure, failed.failure.status
    failed.own_key = bool(upstream.account)
    if failure.kind not in _OPERATORS and not _tells(credential, body):
        failed.body = body
    failed.message = hiding(credential, failed.message)
    if status in _NO_SUCH_PATH and upstream.name != LOCAL:
        where = (upstream.path + path).partition(b"?")[0].decode("latin-1")
        base = "" if _lacks_model(failure) or _VERSION.search(where) else base_of(path)
        hint = f"; is `{base}` missing from its base_url? It said:" if base else ":"
        failed.message = f"{whose(upstream.name)} answered {status} at {where}{hint} {failed.message}"
        if status == 404 and failed.code is None:
            failed.code = "upstream_not_found"
    return failed


def base_of(path: bytes) -> str:
    """Returns the usual end of a base URL below which the path is.

    >>> base_of(b"/chat/completions"), base_of(b"/api/chat")
    ('/v1', '')
    """
    return _BASES.get(path.split(b"/", 2)[1], _BASE)


def lacks_endpoint(failure: Failure, status: int) -> bool:
    """True if the upstream lacks the endpoint, not the model."""
    return status in _NO_SUCH_ENDPOINT and not _lacks_model(failure)


def _lacks_model(failure: Failure) -> bool:
    return failure.kind == "not_found" and failure.scope == "model"


def _tells(credential: Credential, body: bytes) -> bool:
    """True if a body holds a secret that was sent."""
    return any(secret in body for secret in _secrets(credential))


def hiding(credential: Credential, message: str) -> str:
    """Returns a message without the secrets that were sent; some providers repeat a key that they refuse."""
    for secret in _secrets(credential):
        message = message.replace(secret.decode("latin-1"), "...")
    return message


def _secrets(credential: Credential) -> list[bytes]:
    """Returns the values of a credential's lines, but for those that all requests have."""
    lines = (line.partition(b":") for line in credential.lines.split(b"\r\n"))
    values = (value.strip().rpartition(b" ")[2] for name, _, value in lines if name not in _NO_SECRETS)
    return [value for value in values if len(value) >= _MIN_SECRET]


def model_unavailable(model: str) -> ApiError:
    """Returns the error for a local model whose host is starting or restarting."""
    message = f"The model '{model}' is loading or being restarted. Try again in a moment."
    return ApiError(503, message, code="model_unavailable", retry_after=_RESTART_S)


def overloaded(model: str) -> ApiError:
    """Returns the error for a deployment with as many requests under way and waiting as it may have."""
    message = f"The model '{model}' has as many requests waiting as it may have. Try again in a moment."
    return ApiError(503, message, code="overloaded", retry_after=_RESTART_S)


def retry_after_seconds(response: Response) -> float | None:
    """Returns the seconds that an upstream's error answer asks to wait; None if it does not say."""
    return waits.retry_after(response.status, response.headers, time.time())
