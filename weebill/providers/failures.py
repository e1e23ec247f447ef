"""Reads an upstream's failure: its kind, what is at fault, and how long it wants to be left alone.

`(status, headers, body)` become a `Failure` in two pure steps: a dialect reads status and body, by the signs that its
API documents (`failure_of`); `waits.retry_after` reads the wait in the headers. Routing decides by it alone. What the
client is told is made of it at the gateway's edge (`weebill.gateway.failures.client_error`). What was never sent, for
want of a place or of a word for it, is known by the gateway's own codes (`classify`), which no upstream can utter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from weebill.providers import waits
from weebill.providers.signs import SIGNS, Sign
from weebill.wire.errors import ApiError, OverLimit
from weebill.wire.failure import Failure, FailureKind, Scope, UpstreamFailure

# What a message quotes may be the client's own words: a name, a value, a part of the request's JSON.
_QUOTED: Final = re.compile(r"`[^`]*`|\"(?:[^\"\\]|\\.)*\"|(?<!\w)'(?:[^'\\]|\\.)*'(?!\w)|“[^”]*”|‘[^’]*’")
# What it says of the account, it says first; what follows may be anything.
_HEAD: Final = 240
_NO_SUCH: Final = ("not found", "not exist", "not_found", "no such", "unknown", "not supported")
_PAGE: Final = re.compile(r"\s*<(?:!doctype|html|head|body|center|\?xml)\b", re.IGNORECASE)
_BLOCKED: Final = "error code: 1"  # Cloudflare's, as text: 1006 to 1020
_ASK_TO_WAIT: Final = frozenset({"overloaded", "rate_limited"})
_PAGE_REFUSES: Final = frozenset({400, 403, 406, 451})

_OF_STATUS: Final[dict[int, tuple[FailureKind, Scope]]] = {
    401: ("credential", "key"),
    # What has no price may still be had with the same key.
    402: ("quota", "model"),
    # A refusal that does not say that it is the key's fault is of this request: others may well be served.
    403: ("forbidden", "request"),
    404: ("not_found", "request"),
    405: ("not_found", "request"),
    407: ("network", "provider"),
    408: ("timeout", "model"),
    413: ("unsupported", "request"),
    429: ("rate_limited", "model"),
    451: ("forbidden", "request"),
    503: ("overloaded", "model"),
    504: ("timeout", "model"),
    529: ("overloaded", "model"),
}

# The gateway's own.
_OF_CODE: Final[dict[str, tuple[FailureKind, Scope]]] = {
    "upstream_timeout": ("timeout", "model"),
    "overloaded": ("overloaded", "model"),
    "model_unavailable": ("overloaded", "model"),
    "insufficient_quota": ("quota", "key"),
    "upstream_credential_refused": ("credential", "key"),
    # Whatever another upstream says would find no more room.
    "no_room_for_answers": ("invalid_request", "request"),
    "unsupported_parameter": ("unsupported", "request"),
    "unsupported_endpoint": ("unsupported", "request"),
}


def failure_of(
    status: int,
    message: str | None,
    upstream: str,
    *,
    code: str | None = None,
    param: str | None = None,
    type: str | None = None,  # noqa: A002 - OpenAI's own field name
    codes: Iterable[str | None] = (),
    signs: Iterable[Sign] = (),
) -> UpstreamFailure:
    """The failure that a provider's answer with `status` means, or an error that it sent inside a 200 (`status` 200).

    `message`, `code`, `param` and `type` are the provider's own where it has them; `type` only in OpenAI's words.
    `codes` are what else it says in words of its own, `signs` what they mean. `upstream` is its name in the
    configuration, "" where that is not known. A wait that the message asks for is kept where it is one's own to keep.
    """
    failure = _read(status, message or "", (code, type, *codes), signs)
    if message and failure.kind in _ASK_TO_WAIT:
        failure = failure._replace(retry_after=waits.said(message))
    said = message or f"{whose(upstream)} answered with status {status}."
    return UpstreamFailure(failure, said, code=code, param=param, type=type, upstream=upstream)


def whose(upstream: str) -> str:
    """The beginning of a sentence about an upstream."""
    return f"The upstream '{upstream}'" if upstream else "The upstream"


def _read(status: int, message: str, codes: Iterable[str | None], signs: Iterable[Sign]) -> Failure:
    """The failure that an answer with `status` means, by a dialect's `signs` and then by those that all share.

    `codes` are all that it says by codes, types and reasons; `status` below 400 is for an error inside an answer.
    """
    if status >= 500:
        kind, scope = _OF_STATUS.get(status, ("server", "model"))
        return Failure(kind, scope, status)
    if status in _PAGE_REFUSES and is_page(message):
        return Failure("forbidden", "request", status)
    said = " ".join(_QUOTED.sub(" ", message.lower()).split())
    head = said[:_HEAD]
    own = frozenset(code for code in codes if code)
    for table in (signs, SIGNS):
        for sign in table:
            if status >= 400 and sign.statuses and status not in sign.statuses:
                continue
            if not sign.codes.isdisjoint(own):
                return Failure(sign.kind, sign.scope, status)
            text = said if sign.scope == "request" else head
            if any(word in text for word in sign.words):
                return Failure(sign.kind, sign.scope, status)
    if status == 404 and "model" in head and any(word in head for word in _NO_SUCH):
        return Failure("not_found", "model", status)
    if status < 400:
        return Failure("server", "model", status)
    kind, scope = _OF_STATUS.get(status, ("invalid_request", "request"))
    return Failure(kind, scope, status)


def is_page(message: str) -> bool:
    """Tells whether an answer is a page for people, as what stands before an API says no with."""
    return _PAGE.match(message) is not None or message.startswith(_BLOCKED)


def classify(error: ApiError | UpstreamFailure) -> Failure:
    """Classifies a failure: an upstream's as its dialect has read it, or one that the gateway has found itself."""
    if isinstance(error, UpstreamFailure):
        return error.failure
    if isinstance(error, OverLimit):  # a deployment that costs less may do
        return Failure("unsupported", "request", 0, error.retry_after)
    found = _OF_CODE.get(error.detail.code or "") or _OF_STATUS.get(error.status)
    kind, scope = found or (("server", "model") if error.status >= 500 else ("invalid_request", "request"))
    return Failure(kind, scope, 0, error.retry_after)
