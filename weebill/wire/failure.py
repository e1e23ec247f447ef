"""The failure of an upstream: one value, from whoever reads its answer to who decides what is tried next."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

FailureKind = Literal[
    "network",  # no connection, or one that broke off
    "timeout",  # too slow
    "overloaded",  # has too much to do, or is being restarted
    "server",  # failed by itself
    "invalid_answer",  # answered, but with nothing that is an answer
    "rate_limited",  # waiting helps
    "quota",  # out of credit, or of what there is for the day
    "credential",  # Weebill's key is refused
    "forbidden",  # refused for where it comes from, what it names, or by who knows whom; another may take it
    "not_found",  # has no such model, or nothing at this address
    "unsupported",  # cannot do what is asked; another may
    "context_length",  # the prompt is longer than the window; a larger one may do
    "content_filter",  # refused for what it says
    "invalid_request",  # the client's fault: wrong for every upstream
]

Scope = Literal[
    "request",  # this one: nobody is to blame, and the next may do well
    "model",  # this model at this provider, with this key
    "key",  # all that this key is used for
    "provider",  # all that this provider is used for
]


class Failure(NamedTuple):
    """`scope` is what is at fault; `status` is the upstream's, 0 without an answer, 200 for an error inside of one.

    `retry_after` is in seconds, None where the upstream does not say.
    """

    kind: FailureKind
    scope: Scope
    status: int = 0
    retry_after: float | None = None


class UpstreamFailure(Exception):  # noqa: N818 - named for what happened
    """An upstream that failed, as who reads its answer has understood it: `failure` is what everybody goes by.

    The rest is for people: `message`, and what it says of a `code`, a `param` and a `type`, as far as that is in
    OpenAI's words. `upstream` is its name in the configuration, "" where that is not known; `body` is what it said in
    full, where more of that may be passed on; `own_key` tells if its project's own key was used. The gateway makes the
    client's error of it (`gateway.failures`).
    """

    def __init__(
        self,
        failure: Failure,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        type: str | None = None,  # noqa: A002 - OpenAI's own field name
        upstream: str = "",
    ) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message
        self.code = code
        self.param = param
        self.type = type
        self.upstream = upstream
        self.body = b""
        self.own_key = False

    def about(self, param: str) -> Self:
        """This failure, with the client's own name for the field that it is about."""
        self.param = param
        return self

    def after(self, seconds: float | None) -> Self:
        """This failure, with the wait that is known from elsewhere, if one is."""
        if seconds is not None:
            self.failure = self.failure._replace(retry_after=seconds)
        return self

    def with_more(self, body: bytes) -> Self:
        """This failure, of which more may be passed on: what the `error` in the upstream's body says besides."""
        self.body = body
        return self


def invalid_answer(message: str) -> UpstreamFailure:
    """For what is no answer, or none that can be read."""
    return UpstreamFailure(Failure("invalid_answer", "model"), message)


def cut() -> UpstreamFailure:
    """For a stream that ended before its answer had."""
    message = "The upstream ended its stream before the answer was complete."
    return UpstreamFailure(Failure("network", "model"), message, code="upstream_cut")
