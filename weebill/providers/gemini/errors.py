"""Google's errors, as the body of a failed call or inside an answer.

Source: https://cloud.google.com/apis/design/errors and https://ai.google.dev/gemini-api/docs/troubleshooting
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.providers import waits
from weebill.providers.failures import failure_of
from weebill.providers.openai.errors import body_error as any_error
from weebill.providers.signs import Sign
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure
from weebill.wire.gemini import ErrorResponse, Status

_decode: Final = msgspec.json.Decoder(ErrorResponse | list[ErrorResponse]).decode
_DAILY: Final = "PerDay"
"""In the names of quotas that are used up for the day, such as GenerateRequestsPerDayPerProjectPerModel-FreeTier."""
# What ErrorInfo's reasons mean: https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto
_SIGNS: Final = (
    Sign("quota", "model", frozenset({429}), frozenset({_DAILY})),
    Sign("quota", "key", codes=frozenset({"BILLING_DISABLED"})),
    Sign("credential", "model", codes=frozenset({"IAM_PERMISSION_DENIED"})),
    Sign(
        "credential",
        "key",
        codes=frozenset(
            {
                "ACCESS_TOKEN_EXPIRED",
                "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                "ACCESS_TOKEN_TYPE_UNSUPPORTED",
                "ACCOUNT_STATE_INVALID",
                "API_KEY_ANDROID_APP_BLOCKED",
                "API_KEY_EXPIRED",
                "API_KEY_HTTP_REFERRER_BLOCKED",
                "API_KEY_INVALID",
                "API_KEY_IOS_APP_BLOCKED",
                "API_KEY_IP_ADDRESS_BLOCKED",
                "API_KEY_SERVICE_BLOCKED",
                "CONSUMER_INVALID",
                "CONSUMER_SUSPENDED",
                "CREDENTIALS_MISSING",
                "SERVICE_DISABLED",
                "USER_PROJECT_DENIED",
            }
        ),
    ),
)


def body_error(status: int, body: bytes, upstream: str) -> UpstreamFailure:
    """The failure that an answer with a status other than 200 means; one in a stream's form is a list.

    Who only passes Google's format on writes OpenAI's, or text.
    """
    try:
        decoded = _decode(body)
    except UNREADABLE:
        return any_error(status, body, upstream)
    if isinstance(decoded, list):
        return status_error(decoded[0].error, upstream, status) if decoded else failure_of(status, None, upstream)
    return status_error(decoded.error, upstream, status)


def status_error(error: Status, upstream: str = "", status: int | None = None) -> UpstreamFailure:
    """The failure that Google's own error means; `status` is the call's, if it failed."""
    number = status or error.code or 200
    param = None
    codes = [error.status]
    retry_after: float | None = None
    for detail in error.details or ():
        codes.append(detail.reason)
        if detail.field_violations:
            param = detail.field_violations[0].field
        if detail.retry_delay is not None:
            retry_after = waits.duration(detail.retry_delay)
        if detail.violations and any(_DAILY in (violation.quota_id or "") for violation in detail.violations):
            codes.append(_DAILY)
    return failure_of(number, error.message, upstream, param=param, codes=codes, signs=_SIGNS).after(retry_after)
