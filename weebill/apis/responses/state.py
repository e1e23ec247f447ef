"""Responses that are kept: how a later request builds on them, and how they are read and deleted. Pure functions.

Earlier items are put into a call's `input`, whatever its target: one that keeps responses itself is told not to, so a
conversation may go on at another provider than the one where it began.

A request with `previous_response_id` goes through `with_history`, then, if `item_references` names any, `with_items`.
Its answer, where `wants_storing`, becomes a `stored_response`.

Source: https://platform.openai.com/docs/guides/conversation-state and .../api-reference/responses/input-items
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw, Struct

from weebill.apis.responses.answer import new_id
from weebill.apis.responses.errors import unknown_response
from weebill.wire.body import invalid_at
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE, ApiError, invalid_value
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.responses import Content, ItemHead, MessageItem, decode_head, decode_items, output_text
from weebill.wire.responses_items import text_of
from weebill.wire.responses_request import NULL, ResponsesRequest
from weebill.wire.responses_state import StoredResponse, input_items, item_id, items

_PREFIXES: Final = {"message": "msg_", "function_call": "fc_", "function_call_output": "fco_", "reasoning": "rs_"}
_HAVE_STATUS: Final = frozenset({"message", "function_call", "function_call_output"})
_REFERENCE: Final = "item_reference"
_LIMIT: Final = 100
_DEFAULT_LIMIT: Final = 20

_encode: Final = msgspec.json.encode


class _Stored(Struct, frozen=True):
    """The part of a Response object that is kept in columns."""

    id: str
    created_at: float = 0


class _Deleted(Struct, frozen=True):
    id: str
    object: str = "response"
    deleted: bool = True


class _Page(Struct, frozen=True):
    data: list[Raw]
    first_id: str
    last_id: str
    has_more: bool
    object: str = "list"


_decode_stored: Final = msgspec.json.Decoder(_Stored).decode


def previous_id(call: Call) -> str | None:
    """The response that a call continues, None if there is none or `with_history` has been applied."""
    request = cast(ResponsesRequest, call.request)
    return request.previous_response_id if "previous_response_id" in call.fields else None


def wants_storing(call: Call) -> bool:
    """Tells whether the answer is to be kept."""
    return cast(ResponsesRequest, call.request).stored


def with_history(call: Call, stored: Sequence[StoredResponse]) -> Call:
    """The call with all that it continues before its own input, and without `previous_response_id`.

    `stored` is the response that it names and all that this one continued, oldest first. Raises ApiError 400 if that is
    empty: the response is unknown. References of its own to what comes before are taken out.
    """
    request = cast(ResponsesRequest, call.request)
    if not stored:
        raise unknown_response(request.previous_response_id or "")
    history = [item for response in stored for item in items(response)]
    known = {item_id(item) for item in history}
    heads = [(item, _head(item, at)) for at, item in enumerate(_own_items(request))]
    own = [item for item, head in heads if head.type != _REFERENCE or head.id not in known]
    fields = {name: value for name, value in call.fields.items() if name != "previous_response_id"}
    return _with_input(call, fields, history, own)


def item_references(call: Call) -> tuple[str, ...]:
    """The ids of the kept items that the call's own input names."""
    request = cast(ResponsesRequest, call.request)
    if not isinstance(request.input, list):
        return ()
    heads = [_head(item, at) for at, item in enumerate(_own_items(request))]
    return tuple(head.id for head in heads if head.type == _REFERENCE and head.id is not None)


def with_items(call: Call, found: Mapping[str, bytes]) -> Call:
    """The call with references replaced by the items that they name; those to what is not there stay."""
    request = cast(ResponsesRequest, call.request)
    own = []
    for at, item in enumerate(_own_items(request)):
        head = _head(item, at)
        if head.type == _REFERENCE and (head.id or "") in found:
            item = Raw(found[head.id or ""])
        own.append(item)
    before = input_of(call)
    history = before[: len(before) - len(own)]
    return _with_input(call, dict(call.fields), history, own)


def stored_response(call: Call, response_body: bytes) -> StoredResponse:
    """The parts of an answer that are kept: `response_body` is the Response object as the client got it.

    `call` is the one that was answered: references that `with_items` has not replaced would lead nowhere, and are left
    out. Raises msgspec.DecodeError if the body is no response.
    """
    request = cast(ResponsesRequest, call.request)
    response = _decode_stored(response_body)
    own = [_kept(item) for item in _own_items(request) if decode_head(item).type != _REFERENCE]
    return StoredResponse(
        response.id, _encode(own), response_body, request.previous_response_id, int(response.created_at)
    )


def response_not_found(response_id: str) -> ApiError:
    """For GET and DELETE of what is not kept."""
    return ApiError(404, f"Response with id '{response_id}' not found.")


def deleted(response_id: str) -> bytes:
    """The answer to DELETE."""
    return _encode(_Deleted(response_id))


def input_items_page(stored: Sequence[StoredResponse], query: str) -> bytes:
    """The answer to GET `/v1/responses/{id}/input_items`.

    `stored` as in `with_history`, the response asked for being the last. `query` holds `limit` (1 to 100), `order`
    ("asc" or "desc") and `after` (an item's id). Raises ApiError 400 that names the parameter.
    """
    options = dict(parse_qsl(query))
    limit, order, after = options.get("limit", str(_DEFAULT_LIMIT)), options.get("order", "desc"), options.get("after")
    if not limit.isdecimal() or not 1 <= int(limit) <= _LIMIT:
        raise invalid_value("limit", f"expected a number from 1 to {_LIMIT}")
    if order not in ("asc", "desc"):
        raise invalid_value("order", "expected 'asc' or 'desc'")
    found = [item for response in stored[:-1] for item in items(response)] + input_items(stored[-1])
    if order == "desc":
        found.reverse()
    ids = [item_id(item) or "" for item in found]
    if after is not None:
        if after not in ids:
            raise invalid_value("after", f"there is no item '{after}'")
        start = ids.index(after) + 1
        found, ids = found[start:], ids[start:]
    shown = ids[: int(limit)] or [""]
    return _encode(_Page(found[: int(limit)], shown[0], shown[-1], len(found) > int(limit)))


def input_of(call: Call) -> list[Raw]:
    """The items of a call's input, with what has been put before them."""
    given = call.fields.get("input")
    if given is None or bytes(memoryview(given)[:1]) != b"[":
        return _own_items(cast(ResponsesRequest, call.request))
    return decode_items(given)


def _own_items(request: ResponsesRequest) -> list[Raw]:
    """The request's own input as items."""
    if isinstance(request.input, list):
        return [_said(text) if (text := text_of(item)) else item for item in request.input]
    return [] if request.input is None else [_said(request.input)]


def _said(text: str) -> Raw:
    """A user's bare string as an item."""
    return Raw(_encode(MessageItem("user", [Content("input_text", text)])))


def _with_input(call: Call, fields: Json, history: list[Raw], own: list[Raw]) -> Call:
    request = msgspec.structs.replace(cast(ResponsesRequest, call.request), input=own)
    fields["input"] = Raw(_encode([*history, *own]))
    return call.replaced(request=request, fields=fields)


def _kept(item: Raw) -> Raw:
    """An item as it is kept: with an id, and a message's content as a list, as OpenAI gives it back."""
    head = decode_head(item)
    kind = head.type or "message"
    fields = decode_object(item)
    fields["type"] = Raw(_encode(kind))
    if head.id is None:
        fields["id"] = Raw(_encode(new_id(_PREFIXES.get(kind, "item_"))))
    if kind in _HAVE_STATUS:
        fields.setdefault("status", Raw(b'"completed"'))
    if kind == "message":
        content = bytes(fields.get("content", NULL))
        if content.startswith(b'"'):
            text = msgspec.json.decode(content, type=str)
            said = (
                output_text(text) if bytes(fields.get("role", NULL)) == b'"assistant"' else Content("input_text", text)
            )
            fields["content"] = Raw(_encode([said]))
    return Raw(_encode(fields))


def _head(item: Raw, at: int) -> ItemHead:
    try:
        return decode_head(item)
    except UNREADABLE as error:
        raise invalid_at(error, f"input[{at}]") from error
