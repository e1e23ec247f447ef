"""What a client is told when an upstream answers with an error, whatever the upstream's API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from weebill.providers import waits
from weebill.providers.failures import is_page, read
from weebill.providers.signs import FILTER_CODES, Sign
from weebill.wire.errors import ApiError
from weebill.wire.failure import Failure

_TITLE: Final = re.compile(r"<title>\s*([^<]{1,200})", re.IGNORECASE)


def provider_error(
    status: int,
    message: str | None,
    upstream: str,
    *,
    code: str | None = None,
    param: str | None = None,
    type: str | None = None,  # noqa: A002 - OpenAI's own field name
    codes: Iterable[str | None] = (),
    signs: Iterable[Sign] = (),
) -> ApiError:
    """The error for a provider's answer with `status`, or one that it sent inside a 200 (`status` 200).

    `message`, `code`, `param` and `type` are the provider's own where it has them; `type` only in OpenAI's words.
    `codes` are what else it says in words of its own, `signs` what they mean. `upstream` is its name in the
    configuration, "" where that is not known. A wait that the message asks for is kept.
    """
    failure = read(status, message or "", (code, type, *codes), signs)
    return _told(failure, message, upstream, code, param, type)


def _told(
    failure: Failure,
    message: str | None,
    upstream: str,
    code: str | None,
    param: str | None,
    type: str | None,  # noqa: A002 - OpenAI's own field name
) -> ApiError:
    """The client's error for a failure. A wait goes along where it is one's own to keep."""
    status = failure.status
    whose = f"The upstream '{upstream}'" if upstream else "The upstream"
    said = message or f"{whose} answered with status {status}."
    kind = failure.kind
    if kind == "quota":
        # As OpenAI answers its own customers; no waiting of theirs helps.
        return ApiError(429, said, code="insufficient_quota", failure=failure)
    if kind == "content_filter":
        named = code if code in FILTER_CODES else "content_filter"
        return ApiError(400, said, code=named, param=param, type=type, failure=failure)
    if kind == "credential":
        # The credential is the operator's, so the client must not take this for its own key's fault.
        reason = f"{whose} refused Weebill's credential (status {status}): {said}"
        return ApiError(502, reason, code="upstream_credential_refused", failure=failure)
    if kind == "forbidden":
        reason = f"{whose} refused this request (status {status}): {_shown(said)}"
        return ApiError(403, reason, code=code or "upstream_forbidden", param=param, failure=failure)
    wait = waits.said(said)
    if kind == "overloaded":
        return ApiError(503, said, code="upstream_overloaded", retry_after=wait, failure=failure)
    if kind == "rate_limited":
        limited = "rate_limit_exceeded"
        told = _or(status, 429)
        return ApiError(told, said, code=limited, param=param, type=type, retry_after=wait, failure=failure)
    if status >= 500 or kind == "server":
        unnamed = "upstream_timeout" if status == 504 else "upstream_error"
        return ApiError(_or(status, 502), said, code=code or unnamed, param=param, type=type, failure=failure)
    if kind == "not_found" and failure.scope == "model":
        return ApiError(404, said, code="model_not_found", param=param, type=type, failure=failure)
    if kind == "context_length":
        told = _or(status, 400)
        return ApiError(told, said, code="context_length_exceeded", param=param, type=type, failure=failure)
    return ApiError(_or(status, 400), said, code=code, param=param, type=type, failure=failure)


def _or(status: int, unsaid: int) -> int:
    """The upstream's status, or one for what came inside an answer."""
    return status if status >= 400 else unsaid


def _shown(said: str) -> str:
    """Of a page, its title."""
    title = _TITLE.search(said) if is_page(said) else None
    return said if title is None else f"{title[1].strip()} (a page, not an answer)"
