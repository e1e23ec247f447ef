"""One event of a Responses stream, as upstreams write it, and the error that it may say.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.error_bodies import ErrorDetail
from weebill.providers.responses.body import NOTHING, ResponseBody, error_detail, number
from weebill.providers.responses.errors import inner_error, not_a_response
from weebill.wire.errors import UNREADABLE
from weebill.wire.failure import UpstreamFailure
from weebill.wire.literals import SILENT
from weebill.wire.responses_items import decode_members, is_given, is_object, list_of, text_of
from weebill.wire.responses_request import NULL

LAST: Final = frozenset({"response.completed", "response.incomplete", "response.done"})
"""Events that end a response."""
LIFECYCLE: Final = LAST | frozenset(
    {"response.created", "response.queued", "response.in_progress"}
    | {"response.failed", "response.error", "response.cancelled", "error", ""}
)
"""Events about the response rather than about one of its items."""
THOUGHTS: Final = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
"""Those of a piece of reasoning."""


class StreamEvent(Struct, frozen=True):
    """The part of an event, of any type, that is read. An error's fields come flat or under `error`.

    An `output_index` below 0 was not given.
    """

    type: str = ""
    delta: str = ""
    output_index: int = -1
    content_index: int = 0
    summary_index: int = 0
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    logprobs: list[Raw] | None = None
    annotation: Raw = NULL
    item: Raw = NULL
    response: ResponseBody | None = None
    error: Raw = NULL
    message: Raw = NULL
    code: Raw = NULL
    param: Raw = NULL


_decode_event: Final = msgspec.json.Decoder(StreamEvent).decode
_decode_response: Final = msgspec.json.Decoder(ResponseBody).decode
_FAILURES: Final = frozenset({"error", "response.failed", "response.error", "response.cancelled"})


def decode_event(data: bytes) -> StreamEvent:
    """An event, whatever else is in it. Raises UpstreamFailure if it is no JSON object."""
    try:
        return _decode_event(data)
    except UNREADABLE:
        pass
    try:
        fields = decode_members(data)
        response = fields.get("response", NULL)
        return StreamEvent(
            text_of(fields.get("type", NULL)),
            _text(fields.get("delta", NULL)),
            number(fields["output_index"]) if is_given(fields.get("output_index", NULL)) else -1,
            number(fields.get("content_index", NULL)),
            number(fields.get("summary_index", NULL)),
            text_of(fields.get("text", NULL)) or None,
            text_of(fields.get("refusal", NULL)) or None,
            _text(fields.get("arguments", NULL)) or None,
            list_of(fields.get("logprobs", NULL)),
            fields.get("annotation", NULL),
            fields.get("item", NULL),
            _decode_response(response) if is_object(response) else None,
            *(fields.get(name, NULL) for name in ("error", "message", "code", "param")),
        )
    except UNREADABLE as error:
        raise not_a_response(str(error)) from error


def _text(raw: Raw) -> str:
    """A piece of text; of what is none, its JSON."""
    return text_of(raw) or ("" if bytes(raw) in SILENT else bytes(raw).decode())


def failure(event: StreamEvent) -> UpstreamFailure | None:
    """The failure that an event tells of, in whichever of the places; None if it tells of none."""
    if event.type not in _FAILURES and (event.type or error_detail(event.error) is None):
        return None
    detail = error_detail(event.error) or error_detail((event.response or NOTHING).error)
    if detail is None:
        code = text_of(event.code) or (number(event.code) if is_given(event.code) else None)
        detail = ErrorDetail(text_of(event.message) or None, None, text_of(event.param) or None, code)
    return _said(detail, event.error if is_object(event.error) else (event.response or NOTHING).error)


def failed(response: ResponseBody) -> UpstreamFailure:
    """Reads the failure that a whole response tells of."""
    return _said(error_detail(response.error) or ErrorDetail(), response.error)


def _said(detail: ErrorDetail, error: Raw) -> UpstreamFailure:
    return inner_error(detail).with_more(b'{"error":%b}' % bytes(error))


def bare_error(block: bytes) -> UpstreamFailure:
    """The error in what is JSON but no event."""
    return failure(decode_event(block)) or not_a_response("it is no event")
