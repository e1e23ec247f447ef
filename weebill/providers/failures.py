"""What kind of failure an upstream's error is, and how long it wants to be left alone.

`(status, headers, body)` become a `Failure` in two pure steps: a dialect's `error` reads status and body into an
`ApiError`, whose codes are the same whatever the dialect, with the wait that `waits.retry_after` reads in the headers;
`classify` then names the kind. It takes any `ApiError` that a request can end in: one out of a body with an error's
status, one inside a 200, one that came as an event of a stream, and those of the gateway itself, such as that no
connection could be made.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from weebill.providers.errors import FILTER_CODES
from weebill.wire.errors import ApiError

FailureKind = Literal[
    "network",  # no connection, or one that broke off
    "timeout",  # too slow
    "overloaded",  # has too much to do, or is being restarted
    "server",  # failed by itself
    "invalid_answer",  # answered, but with nothing that is an answer
    "rate_limited",  # waiting helps
    "quota",  # out of credit: waiting does not help
    "credential",  # Weebill's key is refused
    "not_found",  # has no such model, or nothing at this address
    "unsupported",  # cannot do what is asked; another may
    "context_length",  # the prompt is longer than the window; a larger one may do
    "content_filter",  # refused for what it says
    "invalid_request",  # the client's fault: wrong for every upstream
]


class Failure(NamedTuple):
    """`retry_after` is in seconds, None where the upstream does not say."""

    kind: FailureKind
    retry_after: float | None


_OF_CODE: Final[dict[str, FailureKind]] = {
    "upstream_failed": "network",
    "upstream_cut": "network",
    "upstream_proxy_refused": "network",
    "upstream_timeout": "timeout",
    "upstream_overloaded": "overloaded",
    "overloaded": "overloaded",
    "model_unavailable": "overloaded",
    "upstream_error": "server",
    "upstream_invalid_answer": "invalid_answer",
    "rate_limit_exceeded": "rate_limited",
    "insufficient_quota": "quota",
    "upstream_credential_refused": "credential",
    "model_not_found": "not_found",
    "unsupported_parameter": "unsupported",
    "unsupported_endpoint": "unsupported",
    "context_length_exceeded": "context_length",
    **dict.fromkeys(FILTER_CODES, "content_filter"),
    # Google's reasons for an answer that holds none.
    "MALFORMED_FUNCTION_CALL": "invalid_answer",
    "MALFORMED_RESPONSE": "invalid_answer",
    "MISSING_THOUGHT_SIGNATURE": "invalid_answer",
    "TOO_MANY_TOOL_CALLS": "invalid_answer",
    "UNEXPECTED_TOOL_CALL": "invalid_answer",
}
_OF_STATUS: Final[dict[int, FailureKind]] = {
    404: "not_found",
    408: "timeout",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
}


def classify(error: ApiError) -> Failure:
    """The kind of failure that `error` stands for; a code says more than a status does."""
    kind = _OF_CODE.get(error.detail.code or "") or _OF_STATUS.get(error.status)
    return Failure(kind or ("server" if error.status >= 500 else "invalid_request"), error.retry_after)
