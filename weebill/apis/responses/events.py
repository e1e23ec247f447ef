"""Events of a Responses stream that are written from a template, and the one that says what went wrong.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from weebill.wire.errors import ApiError

DELTAS: Final = {
    "reasoning": "response.reasoning_summary_text.delta",
    "function_call": "response.function_call_arguments.delta",
    "custom_call": "response.custom_tool_call_input.delta",
}
"""The event for a piece of an item that has no parts."""
_encode: Final = msgspec.json.encode


class _ErrorFields(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str | None


class _ErrorEvent(Struct, frozen=True):
    """The documented event has its fields flat, the one that OpenAI sends nested: only for that do the SDKs raise."""

    type: str
    code: str | None
    message: str
    param: str | None
    sequence_number: int
    error: _ErrorFields


def error_event(error: ApiError, sequence: int = 0) -> bytes:
    """The event that ends a stream that failed."""
    detail = error.detail
    fields = _ErrorFields(detail.message, detail.type, detail.param, detail.code)
    event = _ErrorEvent("error", detail.code, detail.message, detail.param, sequence, fields)
    return b"event: error\ndata: %b\n\n" % _encode(event)


def delta_event(name: str, position: bytes, with_logprobs: bool = False) -> bytes:
    """A delta event with places for its number, its text and, where it has them, its logprobs."""
    head = b'event: %b\ndata: {"type":"%b",%b' % (name.encode(), name.encode(), position.replace(b"%", b"%%"))
    return head + (b',"sequence_number":%d,"delta":%b' + (b',"logprobs":%b}\n\n' if with_logprobs else b"}\n\n"))
