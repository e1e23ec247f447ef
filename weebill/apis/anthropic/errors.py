"""Errors in Anthropic's format: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

Source: https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.wire.anthropic import ERROR_STATUS, ErrorBody, ErrorDetail
from weebill.wire.errors import ApiError

_ERROR_TYPES: Final = {status: name for name, status in ERROR_STATUS.items()} | {
    408: "timeout_error",
    503: "overloaded_error",
}


def error_body(error: ApiError) -> bytes:
    """The body; Anthropic has no field for a parameter's name."""
    kind = _ERROR_TYPES.get(error.status) or ("api_error" if error.status >= 500 else "invalid_request_error")
    detail = error.detail
    named = detail.param is None or detail.param in detail.message
    said = ErrorDetail(kind, detail.message if named else f"{detail.param}: {detail.message}")
    if error.more:
        whole = {"type": "error", "error": {**msgspec.structs.asdict(said), **error.more}}
        return msgspec.json.encode(whole if error.request_id is None else {**whole, "request_id": error.request_id})
    return msgspec.json.encode(ErrorBody(said, error.request_id))


def error_event(error: ApiError) -> bytes:
    """The event that ends a stream that failed."""
    return b"event: error\ndata: " + error_body(error) + b"\n\n"
