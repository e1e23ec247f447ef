"""The messages of a Chat Completions request as turns.

The types here are what clients are documented to write; what they write besides, `tolerance` brings into this form.
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.apis.chat.request_shapes import Message
from weebill.wire.anthropic import CacheControl, cache_mark
from weebill.wire.arguments import NO_ARGUMENTS
from weebill.wire.conversation import (
    Audio,
    Document,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.custom_input import wrapped
from weebill.wire.errors import invalid_value, missing_parameter
from weebill.wire.openai_chat import (
    GOOGLE,
    ReasoningDetail,
    audio_format,
    citation_of,
    image_of,
    reasoning_of,
    split_data_uri,
    unmarked,
)
from weebill.wire.openai_chat_request import (
    AudioPart,
    CalledFunction,
    ContentPart,
    FilePart,
    ImageUrlPart,
    TextPart,
    ToolCall,
)

# The parts that each role may have. OpenAI allows text alone in a tool's result, other APIs more.
_ALLOWED: Final[dict[str, tuple[type[Part], ...]]] = {
    "system": (Text,),
    "developer": (Text,),
    "user": (Text, Image, Audio, Document),
    "assistant": (Text, Refusal, Image),
    "tool": (Text, Image, Document),
    "function": (Text,),
}
# Who may say nothing at all.
_SILENT: Final = frozenset({"assistant", "tool", "function"})


def turns(messages: list[Message]) -> tuple[Turn, ...]:
    """The messages as turns; adjacent results of tools share one. Raises ApiError 400 that names the field."""
    result: list[Turn] = []
    # Function calls of before there were ids: those under way, by name.
    named: dict[str, str] = {}
    for at, message in enumerate(messages):
        role = message.role
        if role == "assistant":
            result.append(Turn("assistant", _assistant(message, at, named), message.name))
        elif role == "tool" or role == "function":
            outcome = _tool_result(message, at, named)
            if result and result[-1].role == "tool":
                result[-1] = Turn("tool", (*result[-1].parts, outcome))
            else:
                result.append(Turn("tool", (outcome,)))
        else:
            result.append(Turn(role, tuple(_marked(_content(message, at), message.cache_control)), message.name))
    return tuple(result)


def _content(message: Message, at: int) -> list[Part]:
    content = message.content
    if isinstance(content, str):
        return [Text(content)]
    if content is None:
        return [] if message.role in _SILENT else [Text("")]
    parts: list[Part] = []
    for index, part in enumerate(content):
        param = f"messages[{at}].content[{index}]"
        read = _part(part, param)
        if not isinstance(read, _ALLOWED[message.role]):
            kind = type(part).__struct_config__.tag
            raise invalid_value(f"{param}.type", f"a message of role '{message.role}' cannot hold '{kind}'")
        parts.append(read)
    return parts


def _part(part: ContentPart, param: str) -> Part:
    if isinstance(part, TextPart):
        return Text(part.text, part.cache)
    if isinstance(part, ImageUrlPart):
        image = image_of(part.image_url)
        if image.url is not None and not image.url.startswith(("https://", "http://")):
            raise invalid_value(f"{param}.image_url.url", "neither an http(s) address nor a data URI in base64")
        return image if part.cache is None else msgspec.structs.replace(image, cache=part.cache)
    if isinstance(part, AudioPart):
        return Audio(part.input_audio.data, part.input_audio.format)
    if isinstance(part, FilePart):
        return _document(part, param)
    return Refusal(part.refusal)


def _document(part: FilePart, param: str) -> Document:
    file = part.file
    if file.file_data is None:
        if file.file_id is None:
            raise missing_parameter(f"{param}.file.file_data")
        return Document(file_id=file.file_id, name=file.filename, cache=part.cache)
    if file.file_data.startswith(("https://", "http://")):
        return Document(url=file.file_data, name=file.filename, cache=part.cache)
    media_type, data = split_data_uri(file.file_data) or ("application/pdf", file.file_data)
    if data.startswith("data:"):
        raise invalid_value(f"{param}.file.file_data", "a data URI that is not in base64")
    return Document(data=data, media_type=media_type, name=file.filename, cache=part.cache)


def _assistant(message: Message, at: int, named: dict[str, str]) -> tuple[Part, ...]:
    parts: list[Part] = []
    thought = message.reasoning_content or message.reasoning
    if message.reasoning_details:
        parts.extend(_thoughts(message.reasoning_details, thought))
    elif thought:
        parts.append(Reasoning(thought))
    content = _content(message, at)
    if message.annotations and content and isinstance(content[0], Text):
        cited = tuple(citation for each in message.annotations if (citation := citation_of(each)) is not None)
        content[0] = msgspec.structs.replace(content[0], citations=cited)
    parts.extend(_marked(content, message.cache_control))
    if message.refusal is not None:
        parts.append(Refusal(message.refusal))
    parts.extend(image_of(entry.image_url) for entry in message.images or ())
    said = message.audio
    if said is not None and said.is_there():
        data = said.data or ""
        parts.append(Audio(data, audio_format(data) if data else "", said.transcript or None, said.id or None))
    for index, call in enumerate(message.tool_calls or ()):
        if call.function is None or not _is_blank(call.function):
            parts.append(_tool_use(call, at, index))
    if message.function_call is not None and not _is_blank(message.function_call):
        called = message.function_call
        named[called.name] = f"call_{at}"
        parts.append(ToolUse(named[called.name], called.name, called.arguments or NO_ARGUMENTS))
    return tuple(parts)


def _thoughts(details: list[ReasoningDetail], thought: str | None) -> list[Reasoning]:
    """The pieces of reasoning, with the words before them that have nothing opaque and so no entry of their own."""
    pieces = reasoning_of(details, "")
    if thought and pieces:
        told = "".join([piece.text for piece in pieces])
        before = thought[: len(thought) - len(told)] if thought.endswith(told) else ""
        if before:
            pieces.insert(0, Reasoning(before, origin=pieces[0].origin))
    return pieces


def _is_blank(called: CalledFunction) -> bool:
    """Tells whether it is none: some servers write what there is not as an object of empty texts."""
    return not called.name and called.arguments in ("", NO_ARGUMENTS)


def _tool_use(call: ToolCall, at: int, index: int) -> ToolUse:
    cache = cache_mark(call.cache_control)
    identity = call.id or f"call_{at}_{index}"
    if call.custom is not None:
        return ToolUse(identity, call.custom.name, wrapped(call.custom.input), cache=cache)
    if call.function is None:
        raise missing_parameter(f"messages[{at}].tool_calls[{index}].{call.type}")
    signature = (
        call.extra_content.google.thought_signature if call.extra_content and call.extra_content.google else None
    )
    origin = ""
    if signature is not None:
        signature, origin = unmarked(signature, GOOGLE)
    # As they are: whoever must have an object makes one of them.
    arguments = call.function.arguments or NO_ARGUMENTS
    return ToolUse(identity, call.function.name, arguments, signature, origin, cache)


def _tool_result(message: Message, at: int, named: dict[str, str]) -> ToolResult:
    identity = message.tool_call_id
    if message.role == "function":
        identity = named.get(message.name or "", f"call_{at}")
    if identity is None:
        raise missing_parameter(f"messages[{at}].tool_call_id")
    parts = _content(message, at)
    content = tuple(part for part in parts if isinstance(part, Text | Image | Document))
    return ToolResult(identity, content, message.name, cache=cache_mark(message.cache_control))


def _marked(parts: list[Part], mark: CacheControl | None) -> list[Part]:
    """`parts` with a message's own mark on the last, which is what it means."""
    if mark is not None and parts and isinstance(parts[-1], Text | Image | Document):
        parts[-1] = msgspec.structs.replace(parts[-1], cache=cache_mark(mark))
    return parts
