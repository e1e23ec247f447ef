"""The items of a Responses request as turns.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses-create-input
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, cast

import msgspec
from msgspec import Raw

from weebill.wire.body import invalid_body
from weebill.wire.conversation import (
    Audio,
    CacheMark,
    Document,
    Image,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.openai_chat import split_data_uri
from weebill.wire.responses import (
    NO_ARGUMENTS,
    ORIGIN,
    CacheBreakpoint,
    Content,
    FunctionCallItem,
    FunctionOutputItem,
    ImageItem,
    Item,
    MessageItem,
    ReasoningItem,
    ReferenceItem,
    citation,
    decode_head,
    unseal,
)

_DECODERS: Final[dict[str, Callable[[Raw], Item | ReferenceItem]]] = {
    "message": msgspec.json.Decoder(MessageItem).decode,
    "function_call": msgspec.json.Decoder(FunctionCallItem).decode,
    "function_call_output": msgspec.json.Decoder(FunctionOutputItem).decode,
    "reasoning": msgspec.json.Decoder(ReasoningItem).decode,
    "image_generation_call": msgspec.json.Decoder(ImageItem).decode,
    "item_reference": msgspec.json.Decoder(ReferenceItem).decode,
}
_Detail = Literal["auto", "low", "high", "original"]
_DETAILS: Final = ("auto", "low", "high", "original")
# Of each type of content, the fields of which exactly one must be there.
_SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "input_text": ("text",),
    "output_text": ("text",),
    "refusal": ("refusal",),
    "input_image": ("image_url", "file_id"),
    "input_file": ("file_data", "file_url", "file_id"),
    "input_audio": ("input_audio",),
}
# What each role may say, and what a function may give.
_OF_USER: Final = frozenset({"input_text", "input_image", "input_file", "input_audio"})
_ALLOWED: Final[dict[str, frozenset[str]]] = {
    "user": _OF_USER,
    "system": _OF_USER,
    "developer": _OF_USER,
    "assistant": frozenset({"output_text", "refusal", "input_text"}),
    "tool": frozenset({"input_text", "input_image", "input_file"}),
}
_PDF: Final = "application/pdf"


class Turns:
    """Puts items together to turns: a model's are one turn as long as nothing comes between, as are results."""

    def __init__(self, drop_foreign: bool) -> None:
        self._drop_foreign = drop_foreign
        self._role: Role | None = None
        self._parts: list[Part] = []
        self._turns: list[Turn] = []
        self._signature: tuple[str, Origin] | None = None

    def turns(self) -> tuple[Turn, ...]:
        """The turns so far."""
        self._close()
        return tuple(self._turns)

    def say(self, role: Role, parts: Sequence[Part]) -> None:
        """Add parts to the turn under way, or begin one."""
        if role != self._role or role not in ("assistant", "tool"):
            self._close()
            self._role = role
        self._parts.extend(parts)

    def add(self, raw: Raw, path: str) -> None:
        """Add an item, which is at `path` in the request. Raises ApiError that names it."""
        try:
            kind = decode_head(raw).type or "message"
            decode = _DECODERS.get(kind)
            item = None if decode is None else decode(raw)
        except UNREADABLE as error:
            raise invalid_at(error, path) from error
        match item:
            case MessageItem():
                self.say(item.role, _content(item.content, item.role, f"{path}.content"))
            case FunctionCallItem():
                signature, origin = self._signature or (None, "")
                self._signature = None
                call = ToolUse(item.call_id, item.name, item.arguments or NO_ARGUMENTS, signature, origin)
                self.say("assistant", (call,))
            case FunctionOutputItem():
                content = cast("tuple[Text | Image | Document, ...]", _content(item.output, "tool", f"{path}.output"))
                self.say("tool", (ToolResult(item.call_id, content),))
            case ReasoningItem():
                self._reason(item)
            case ImageItem() if item.result:
                media_type = f"image/{item.output_format or 'png'}"
                self.say("assistant", (Image(data=item.result, media_type=media_type),))
            case ReferenceItem():
                raise unknown_item(item.id)
            case _:
                if not self._drop_foreign:
                    raise ApiError(
                        400,
                        f"Invalid value for '{path}': this model cannot be given items of type '{kind}'.",
                        code="unsupported_parameter",
                        param=path,
                    )

    def _reason(self, item: ReasoningItem) -> None:
        if item.encrypted_content is None:
            if text := item.text():
                self.say("assistant", (Reasoning(text, origin=ORIGIN, id=item.id),))
            return
        sealed = unseal(item.encrypted_content)
        if sealed.kind == "tool":
            self._signature = sealed.data, sealed.origin
            return
        self.say(
            "assistant",
            (
                Reasoning(
                    item.text(),
                    sealed.data if sealed.kind == "" else None,
                    sealed.data if sealed.kind == "encrypted" else None,
                    item.id if sealed.origin == ORIGIN else None,
                    sealed.origin,
                ),
            ),
        )

    def _close(self) -> None:
        if self._role is not None:
            self._turns.append(Turn(self._role, tuple(self._parts)))
        self._role, self._parts = None, []


def invalid_at(error: Exception, path: str) -> ApiError:
    """What a client is told of a part of the body, at `path`, that does not decode."""
    text = str(error)
    # What is wrong with the part as a whole has no path.
    text = text.replace("`$", f"`$.{path}", 1) if "`$" in text else f"{text} - at `$.{path}`"
    return invalid_body(msgspec.ValidationError(text))


def unknown_item(item_id: str) -> ApiError:
    """For a reference to what is not kept."""
    return ApiError(404, f"Item with id '{item_id}' not found.", param="input")


def _content(content: str | list[Content], role: str, path: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_part(part, role, f"{path}[{at}]") for at, part in enumerate(content)])


def _part(part: Content, role: str, path: str) -> Part:
    kind = part.type
    if kind not in _ALLOWED[role]:
        raise _invalid(f"{path}.type", f"'{kind}' is not supported here")
    sources = _SOURCES[kind]
    if sum(getattr(part, name) is not None for name in sources) != 1:
        if len(sources) == 1:
            param = f"{path}.{sources[0]}"
            message = f"Missing required parameter: '{param}'."
            raise ApiError(400, message, code="missing_required_parameter", param=param)
        raise _invalid(path, f"exactly one of {', '.join(sources)} is required")
    match kind:
        case "refusal":
            return Refusal(part.refusal or "")
        case "input_image":
            return _image(part, path)
        case "input_file":
            return _document(part)
        case "input_audio" if part.input_audio is not None:
            return Audio(part.input_audio.data, part.input_audio.format)
        case _:
            citations = tuple(map(citation, part.annotations)) if part.annotations else ()
            return Text(part.text or "", _cache(part.prompt_cache_breakpoint), citations)


def _image(part: Content, path: str) -> Image:
    if part.detail is not None and part.detail not in _DETAILS:
        raise _invalid(f"{path}.detail", f"'{part.detail}' is none of {', '.join(_DETAILS)}")
    detail = cast("_Detail | None", part.detail)
    cache = _cache(part.prompt_cache_breakpoint)
    inline = split_data_uri(part.image_url) if part.image_url else None
    if inline is not None:
        return Image(data=inline[1], media_type=inline[0], detail=detail, cache=cache)
    return Image(url=part.image_url, file_id=part.file_id, detail=detail, cache=cache)


def _document(part: Content) -> Document:
    cache = _cache(part.prompt_cache_breakpoint)
    if part.file_data is None:
        return Document(url=part.file_url, file_id=part.file_id, name=part.filename, cache=cache)
    media_type, data = split_data_uri(part.file_data) or (_PDF, part.file_data)
    return Document(data=data, media_type=media_type, name=part.filename, cache=cache)


def _cache(mark: CacheBreakpoint | None) -> CacheMark | None:
    """The nearest of the two times that there are: OpenAI's shortest is longer than the shorter of them."""
    if mark is None:
        return None
    return "5m" if mark.ttl is None else "1h"


def _invalid(param: str, reason: str) -> ApiError:
    return ApiError(400, f"Invalid value for '{param}': {reason}.", code="invalid_value", param=param)
