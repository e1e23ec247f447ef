"""Response objects as replies.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.providers.openai.errors import ErrorDetail
from weebill.providers.responses.errors import inner_error, invalid_answer
from weebill.wire.conversation import Image, Part, Reasoning, Refusal, Text, ToolUse
from weebill.wire.errors import UNREADABLE
from weebill.wire.reply import Choice, FinishReason, Reply, Usage
from weebill.wire.responses import (
    NO_ARGUMENTS,
    ORIGIN,
    FunctionCallItem,
    ImageItem,
    MessageItem,
    ReasoningItem,
    UsageReport,
    citation,
    decode_head,
)


class IncompleteDetails(Struct, frozen=True):
    """`incomplete_details`."""

    reason: str | None = None


class ResponseBody(Struct, frozen=True):
    """The part of a Response that is read."""

    id: str = ""
    model: str = ""
    created_at: float | None = None
    status: str | None = None
    output: list[Raw] | None = None
    error: ErrorDetail | None = None
    incomplete_details: IncompleteDetails | None = None
    usage: UsageReport | None = None


_decode_body: Final = msgspec.json.Decoder(ResponseBody).decode
OutputItem = MessageItem | FunctionCallItem | ReasoningItem | ImageItem
_DECODERS: Final[dict[str, Callable[[Raw], OutputItem]]] = {
    "message": msgspec.json.Decoder(MessageItem).decode,
    "function_call": msgspec.json.Decoder(FunctionCallItem).decode,
    "reasoning": msgspec.json.Decoder(ReasoningItem).decode,
    "image_generation_call": msgspec.json.Decoder(ImageItem).decode,
}
_INCOMPLETE: Final[dict[str | None, FinishReason]] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
}


def decode_reply(body: bytes) -> Reply:
    """The answer in a whole body. Raises ApiError if it holds an error, 502 if it is none."""
    try:
        response = _decode_body(body)
        if response.error is not None or response.status == "failed":
            raise inner_error(response.error or ErrorDetail())
        if response.output is None or response.status not in (None, "completed", "incomplete"):
            raise invalid_answer(f"its status is '{response.status}'" if response.output is not None else "no output")
        parts: list[Part] = []
        logprobs: list[Raw] = []
        for raw in response.output:
            item = output_item(raw)
            if item is not None:
                parts.extend(_parts(item, logprobs))
    except UNREADABLE as error:
        raise invalid_answer(str(error)) from error
    kinds = {type(part) for part in parts}
    finish = finish_of(response, ToolUse in kinds, Refusal in kinds)
    choice = Choice(tuple(parts), finish, logprobs=tuple(logprobs) or None)
    usage = response.usage.usage() if response.usage is not None else Usage()
    return Reply(response.id, response.model, (choice,), usage, int(response.created_at or 0))


def output_item(raw: Raw) -> OutputItem | None:
    """An item of an output; None for those of hosted tools, which are not asked for, and for none at all."""
    if bytes(raw) in (b"", b"null"):
        return None
    decode = _DECODERS.get(decode_head(raw).type or "")
    return None if decode is None else decode(raw)


def finish_of(response: ResponseBody, called: bool, refused: bool) -> FinishReason:
    """Why an answer ended, of which `called` says whether it holds calls, `refused` whether a refusal."""
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        return _INCOMPLETE.get(reason, "length")
    if called:
        return "tool_calls"
    return "refusal" if refused else "stop"


def reasoning(item: ReasoningItem, text: str) -> Reasoning:
    """A reasoning item, whose readable part is `text`."""
    return Reasoning(text, None, item.encrypted_content or None, item.id, ORIGIN)


def image(item: ImageItem) -> Image:
    """An image item that is complete."""
    return Image(data=item.result, media_type=f"image/{item.output_format or 'png'}")


def _parts(item: OutputItem, logprobs: list[Raw]) -> list[Part]:
    match item:
        case MessageItem():
            if isinstance(item.content, str):
                return [Text(item.content)]
            parts: list[Part] = []
            for content in item.content:
                if content.type == "output_text":
                    logprobs.extend(content.logprobs or ())
                    cited = tuple(map(citation, content.annotations or ()))
                    parts.append(Text(content.text or "", citations=cited))
                elif content.type == "refusal":
                    parts.append(Refusal(content.refusal or ""))
            return parts
        case FunctionCallItem():
            return [ToolUse(item.call_id, item.name, item.arguments or NO_ARGUMENTS)]
        case ReasoningItem():
            return [reasoning(item, item.text())]
        case ImageItem():
            return [image(item)] if item.result else []
