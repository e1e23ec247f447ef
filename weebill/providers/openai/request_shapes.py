"""Chat Completions requests to upstreams as types.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.conversation import CacheMark
from weebill.wire.openai_chat import (
    File,
    ImagePart,
    ImageUrl,
    InputAudio,
    Name,
    ReasoningDetail,
    WrittenCall,
)


class Spoken(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A message that is but text."""

    role: Literal["system", "user", "assistant"]
    content: str
    name: str | None = None


class KnownFunction(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A function's call without anything that OpenAI has no name for."""

    name: Raw = Raw()
    arguments: Raw = Raw()


class KnownCall(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """As much of an entry of `tool_calls`."""

    id: Raw = Raw()
    type: Raw = Raw()
    function: KnownFunction | None = None
    custom: Raw = Raw()


class KnownMessage(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """As much of a message; OpenAI gives every answer `annotations`, and takes them where they are none."""

    role: Raw = Raw()
    content: Raw = Raw()
    name: Raw = Raw()
    tool_calls: list[KnownCall] | None = None
    tool_call_id: Raw = Raw()
    function_call: Raw = Raw()
    refusal: Raw = Raw()
    audio: None = None
    annotations: tuple[()] | None = None


class CacheControl(Struct, frozen=True):
    ttl: CacheMark
    type: str = "ephemeral"


class TextPart(Struct, frozen=True):
    """A piece of text."""

    text: str
    type: str = "text"
    cache_control: CacheControl | UnsetType = UNSET


class ImageUrlPart(Struct, frozen=True):
    image_url: ImageUrl
    type: str = "image_url"
    cache_control: CacheControl | UnsetType = UNSET


class AudioPart(Struct, frozen=True):
    input_audio: InputAudio
    type: str = "input_audio"


class FilePart(Struct, frozen=True):
    file: File
    type: str = "file"
    cache_control: CacheControl | UnsetType = UNSET


class AudioReference(Struct, frozen=True):
    id: str


class ThinkingPart(Struct, frozen=True):
    """Reasoning as a piece of content."""

    thinking: tuple[TextPart, ...]
    type: str = "thinking"


ContentPart = TextPart | ImageUrlPart | AudioPart | FilePart | ThinkingPart


class Message(Struct, frozen=True):
    """An entry of `messages`."""

    role: str
    content: str | list[ContentPart] | UnsetType | None = UNSET
    name: str | UnsetType = UNSET
    tool_calls: list[WrittenCall] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    audio: AudioReference | UnsetType = UNSET
    images: list[ImagePart] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    reasoning_details: list[ReasoningDetail] | UnsetType = UNSET


class NamedChoice(msgspec.Struct, frozen=True):
    function: Name
    type: str = "function"


class Function(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    description: str | None = None
    parameters: Raw | None = None
    strict: bool | None = None


class ToolEntry(msgspec.Struct, frozen=True):
    function: Function
    type: str = "function"


class JsonSchema(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    schema: Raw | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    type: str
    json_schema: JsonSchema | None = None


class AnthropicMetadata(msgspec.Struct, frozen=True):
    user_id: str | None = None
