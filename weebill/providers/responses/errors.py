"""Errors of the Responses API inside an answer with status 200 or a stream; others are as in OpenAI's other APIs.

Source: https://platform.openai.com/docs/api-reference/responses-streaming/error
"""

from __future__ import annotations

from typing import Final

from weebill.providers.error_bodies import ErrorDetail
from weebill.providers.failures import failure_of
from weebill.providers.openai.errors import SIGNS
from weebill.wire.failure import UpstreamFailure, invalid_answer

# What the codes of a response that failed would be as statuses; those not named here are faults of the request.
_STATUS: Final = {
    "server_error": 502,
    "internal_error": 502,
    "internal_server_error": 502,
    "upstream_error": 502,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "vector_store_timeout": 504,
    "rate_limit_exceeded": 429,
    "too_many_requests": 429,
    "insufficient_quota": 429,
    "invalid_api_key": 401,
    "model_not_found": 404,
}


def inner_error(error: ErrorDetail) -> UpstreamFailure:
    """For an error that came where an answer should have been; a number as its code is the status."""
    number = error.number
    if number is not None:
        status = int(number) if 400 <= number <= 599 else 502
    elif error.code is None and error.type is None:
        status = 502
    else:
        status = _STATUS.get(error.word or "") or _STATUS.get(error.type or "") or 400
    return failure_of(status, error.message, "", code=error.word, param=error.param, signs=SIGNS)


def not_a_response(reason: str) -> UpstreamFailure:
    """For what is no answer in this format."""
    return invalid_answer(f"The upstream's answer is not a response: {reason}.")
