"""Errors of the endpoints other than generation: what a target cannot do, and what upstreams say went wrong."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from msgspec import Raw, UnsetType

from weebill.providers.base import Target
from weebill.providers.error_bodies import said, said_in
from weebill.providers.failures import failure_of
from weebill.providers.fit import Fit, Unsupported
from weebill.providers.openai.errors import SIGNS
from weebill.providers.operations.base import OperationStream
from weebill.wire.errors import ApiError
from weebill.wire.failure import Failure, UpstreamFailure, invalid_answer
from weebill.wire.idle import asks_nothing
from weebill.wire.inbound import Json
from weebill.wire.operation_call import OperationCall

# Documented fields that say nothing about the answer, but for how much of a long text is read.
HINTS: Final = frozenset({"user", "safety_identifier", "metadata", "truncate", "max_tokens"})
_NULL: Final = b"null"


def refused(field: str, what: str, target: Target) -> ApiError:
    """The error about a field that a target cannot take; `what` completes "does not support"."""
    message = f"The model '{target.model}' does not support {what}."
    return ApiError(400, message, code="unsupported_parameter", param=field)


def check_fields(call: OperationCall, supported: Set[str], target: Target) -> tuple[str, ...]:
    """The fields that are passed over, being neither supported nor part of what is asked for.

    Fields that the endpoint documents are demands, but for `HINTS`; all others are what `Fit` takes them for. Of
    those documented, what asks for nothing is neither. Raises ApiError 400 for what is refused.
    """
    fit = Fit(call.on_unsupported(target.on_unsupported))
    documented = type(call.request).__struct_fields__
    try:
        for name, value in call.fields.items():
            if name in supported or name == "model" or bytes(value) == _NULL:
                continue
            if name in documented and asks_nothing(name, value):
                continue
            if name in documented and name not in HINTS:
                fit.demand(name)
            else:
                fit.unsupported(name)
    except Unsupported as unsupported:
        raise refused(unsupported.field, unsupported.what, target) from unsupported
    return fit.dropped


def no_answer(what: str) -> UpstreamFailure:
    """For a body with status 200 that is not what was asked for."""
    return invalid_answer(f"The upstream's answer is not {what}.")


def held_back(message: str, param: str | None = None) -> UpstreamFailure:
    """For what a filter has taken out of an answer, all of it."""
    failure = Failure("content_filter", "request", 200)
    return UpstreamFailure(failure, message, code="content_policy_violation", param=param)


def error_within(error: Raw, status: int = 200) -> UpstreamFailure:
    """The error that an upstream put inside a 200."""
    found = said(error)
    return failure_of(status, found.message, "", code=found.word, param=found.param, type=found.type, signs=SIGNS)


def operation_error(status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
    """The failure that an answer with a status other than 200 means, in whichever of the common shapes."""
    found = said_in(body)
    error = failure_of(
        status, found.message, upstream, code=found.word, param=found.param, type=found.type, signs=SIGNS
    )
    return error.after(retry_after)


class WholeAnswers:
    """Base of the translators whose answers come in one piece, and of their errors."""

    def streams(self, call: OperationCall, content_type: bytes) -> bool:
        return False

    def stream(self, call: OperationCall, content_type: bytes) -> OperationStream:
        raise NotImplementedError(f"{call.endpoint} does not stream here")

    def error(
        self, call: OperationCall, status: int, body: bytes, retry_after: float | None, upstream: str
    ) -> UpstreamFailure:
        return operation_error(status, body, retry_after, upstream)


def given(raw: Raw | UnsetType) -> Raw | None:
    """A field's raw JSON; None if it is absent or null."""
    return None if isinstance(raw, UnsetType) or bytes(raw) == _NULL else raw


def has_error(fields: Json) -> bool:
    """Tells whether a body's fields say that it is an error."""
    error = fields.get("error")
    return error is not None and bytes(error) not in (_NULL, b"false", b'""')
