"""Answers as Response objects: what the request's echo and the reply's parts make of one.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Final, cast

import msgspec
from msgspec import Raw

from weebill.apis.responses.answer_shapes import IncompleteDetails, Item, ResponseError, ResponseObject, Status
from weebill.apis.responses.calls import ITEM_IDS, call_item
from weebill.apis.responses.tools import ClientTool, other_kinds
from weebill.wire.arguments import NO_ARGUMENTS
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Image, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.errors import ApiError
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.openai_logprobs import text_logprobs
from weebill.wire.reply import FinishReason, Reply
from weebill.wire.responses import (
    ORIGIN,
    Content,
    ImageItem,
    MessageItem,
    ReasoningItem,
    UsageReport,
    annotation,
    output_text,
    seal,
)
from weebill.wire.responses_items import is_given, is_object
from weebill.wire.responses_request import NULL, ResponsesRequest

_TEXT: Final = Raw(b'{"format":{"type":"text"},"verbosity":"medium"}')
_AUTO: Final = Raw(b'"auto"')
_DISABLED: Final = Raw(b'"disabled"')
_EMPTY: Final = Raw(b"{}")
_REASONING: Final = Raw(b'{"effort":null,"summary":null}')
# What the format demands where the request leaves it out.
_OF_FUNCTION: Final[Json] = {"type": Raw(b'"function"'), "description": NULL, "parameters": NULL, "strict": NULL}
_OF_TEXT: Final[Json] = {"format": Raw(b'{"type":"text"}'), "verbosity": Raw(b'"medium"')}
_OF_REASONING: Final[Json] = {"effort": NULL, "summary": NULL}
_DEFAULT_SAMPLING: Final = 1.0

# The status that each end gives, and why an answer is incomplete. A refusal is complete where there are words for it.
_ENDS: Final[dict[FinishReason, tuple[Status, IncompleteDetails | None]]] = {
    "stop": ("completed", None),
    "tool_calls": ("completed", None),
    "length": ("incomplete", IncompleteDetails("max_output_tokens")),
    "content_filter": ("incomplete", IncompleteDetails("content_filter")),
    "refusal": ("completed", None),
    "pause": ("incomplete", IncompleteDetails("max_output_tokens")),
}
_FILTERED: Final = _ENDS["content_filter"]
# OpenAI's codes for a response that failed.
_ERROR_CODES: Final = {400: "invalid_prompt", 429: "rate_limit_exceeded"}

_encode: Final = msgspec.json.encode
_FUNCTIONS: Final = (b'"function"', b"null")


def new_id(prefix: str) -> str:
    """An id such as OpenAI's: `prefix` and 48 hexadecimal digits."""
    return prefix + secrets.token_hex(24)


def response_id(upstream_id: str) -> str:
    """The upstream's own id where it is one of this format, else a new one."""
    return upstream_id if upstream_id.startswith("resp_") else new_id("resp_")


def opened(call: Call, upstream_id: str, model: str, created: int) -> ResponseObject:
    """The response to `call` before anything has been said."""
    request = cast(ResponsesRequest, call.request)
    fields = call.fields
    return ResponseObject(
        id=response_id(upstream_id),
        created_at=created or int(time.time()),
        status="in_progress",
        instructions=fields.get("instructions", NULL),
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=fields.get("max_tool_calls", NULL),
        model=model or call.model,
        output=[],
        parallel_tool_calls=request.parallel_tool_calls is not False,
        previous_response_id=request.previous_response_id,
        prompt=fields.get("prompt", NULL),
        prompt_cache_key=fields.get("prompt_cache_key", NULL),
        reasoning=_completed(request.reasoning, _OF_REASONING, _REASONING),
        safety_identifier=fields.get("safety_identifier", NULL),
        store=request.stored,
        temperature=_DEFAULT_SAMPLING if request.temperature is None else request.temperature,
        text=_completed(request.text, _OF_TEXT, _TEXT),
        tool_choice=_given(fields, "tool_choice", _AUTO),
        tools=_tools(request),
        top_logprobs=request.top_logprobs or 0,
        top_p=_DEFAULT_SAMPLING if request.top_p is None else request.top_p,
        truncation=_given(fields, "truncation", _DISABLED),
        user=fields.get("user", NULL),
        metadata=_given(fields, "metadata", _EMPTY),
    )


def _given(fields: Json, name: str, default: Raw) -> Raw:
    """A field of the request, or what is so where it is left out or null."""
    value = fields.get(name, NULL)
    return value if is_given(value) else default


def _completed(given: Raw, demanded: Json, default: Raw) -> Raw:
    """An object of the request with the members that the format demands."""
    return Raw(_encode({**demanded, **decode_object(given)})) if is_object(given) else default


def _tools(request: ResponsesRequest) -> list[Raw]:
    """The request's tools, functions with all the members that the format demands."""
    return [_tool(raw) for raw in request.tools or ()]


def _tool(raw: Raw) -> Raw:
    fields = decode_object(raw)
    if bytes(fields.get("type", NULL)) not in _FUNCTIONS:
        return raw
    return Raw(_encode({**_OF_FUNCTION, **fields}))


def ended(
    response: ResponseObject, output: list[Item] | list[Raw], finish: FinishReason, refused: bool, usage: UsageReport
) -> ResponseObject:
    """A response once all of it has been said; `refused` is whether there is a refusal among it."""
    status, details = end_of(finish, refused)
    completed_at = max(int(time.time()), response.created_at) if status == "completed" else None
    return msgspec.structs.replace(
        response,
        status=status,
        completed_at=completed_at,
        incomplete_details=details,
        output=output,
        usage=usage,
    )


def failed(response: ResponseObject, output: list[Raw], error: ApiError) -> ResponseObject:
    """A response that ended in an error."""
    code, message = _ERROR_CODES.get(error.status, "server_error"), error.detail.message
    said = {"code": code, "message": message, **error.more} if error.more else ResponseError(code, message)
    return msgspec.structs.replace(response, status="failed", error=said, output=output)


def end_of(finish: FinishReason, refused: bool) -> tuple[Status, IncompleteDetails | None]:
    """The status for an end, and why it is incomplete if it is."""
    return _FILTERED if finish == "refusal" and not refused else _ENDS[finish]


def answer(call: Call, reply: Reply) -> bytes:
    """The body for a complete answer."""
    choice = reply.choices[0]
    said = {type(part) for part in choice.parts}
    refused = Refusal in said
    status, _ = end_of(choice.finish, refused)
    kinds = other_kinds(cast(ResponsesRequest, call.request), call.fields) if ToolUse in said else {}
    output = output_items(choice.parts, text_logprobs(choice.logprobs or ()), status, kinds)
    response = opened(call, reply.id, reply.model, reply.created)
    return _encode(ended(response, output, choice.finish, refused, UsageReport.of(reply.usage)))


def output_items(
    parts: Iterable[Part], logprobs: list[Raw], status: Status, kinds: Mapping[str, ClientTool]
) -> list[Item]:
    """The items that parts make. Texts and refusals next to each other are one message, whose last has `status`.

    `kinds` are the tools that the client knows otherwise than the model.
    """
    items: list[Item] = []
    contents: list[Content] = []
    for part in parts:
        content = _content(part, logprobs)
        if content is None:
            contents = []
            items.extend(_items(part, kinds))
            continue
        if content.type == "output_text":
            # They are of the whole answer, and hardly ever is there more than one text.
            logprobs = []
        if not contents:
            items.append(MessageItem("assistant", contents, new_id("msg_"), "completed"))
        contents.append(content)
    if status == "incomplete" and items:
        items[-1] = msgspec.structs.replace(items[-1], status="incomplete")
    return items


def _content(part: Part, logprobs: list[Raw]) -> Content | None:
    """A part of a message; None for what is an item of its own."""
    match part:
        case Text():
            return output_text(part.text, [annotation(cited) for cited in part.citations], logprobs)
        case Refusal():
            return Content("refusal", refusal=part.text)
        case Image() if part.data is None:
            # An image item has no field for an address.
            return output_text(part.url or "")
        case Audio():
            return output_text(part.transcript or "")
    return None


def _items(part: Part, kinds: Mapping[str, ClientTool]) -> list[Item]:
    match part:
        case Reasoning():
            return [reasoning_item(part)]
        case ToolUse():
            tool = kinds.get(part.name) or ClientTool("function", part.name)
            item_id = new_id(ITEM_IDS[tool.kind])
            call = call_item(tool, part.id or new_id("call_"), part.arguments or NO_ARGUMENTS, item_id, "completed")
            if part.signature is None:
                return [call]
            return [signature_item(part.signature, part.origin), call]
        case Image():
            return [image_item(part)]
    return []


def reasoning_item(piece: Reasoning, item_id: str | None = None, status: str | None = None) -> ReasoningItem:
    """A piece of reasoning; what is opaque and not OpenAI's is sealed with its origin."""
    if piece.encrypted is not None:
        opaque: str | None = seal(piece.encrypted, piece.origin, "encrypted")
    else:
        opaque = None if piece.signature is None else seal(piece.signature, piece.origin, "")
    if item_id is None:
        own = piece.origin == ORIGIN and piece.id is not None and piece.id.startswith("rs_")
        item_id = piece.id if own else new_id("rs_")
    summary = [Content("summary_text", piece.text)] if piece.text else []
    return ReasoningItem(summary, None, opaque, item_id, status)


def signature_item(signature: str, origin: str) -> ReasoningItem:
    """The signature of the call that comes next, where clients echo what is opaque."""
    return ReasoningItem([], None, seal(signature, origin, "tool"), new_id("rs_"))


def image_item(image: Image) -> ImageItem:
    """An image whose data are in the answer."""
    form = (image.media_type or "image/png").removeprefix("image/")
    return ImageItem(image.data, form, new_id("ig_"), "completed")
