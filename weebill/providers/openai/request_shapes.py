"""Chat Completions requests to upstreams as types, as far as they are not read from clients, too.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.openai_chat import ImagePart, ReasoningDetail
from weebill.wire.openai_chat_request import AudioReference, ContentPart, TextPart, ToolCall


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


class ThinkingPart(Struct, frozen=True):
    """Reasoning as a piece of content."""

    thinking: tuple[TextPart, ...]
    type: str = "thinking"


WrittenPart = ContentPart | ThinkingPart


class Message(Struct, frozen=True):
    """An entry of `messages`."""

    role: str
    content: str | list[WrittenPart] | UnsetType | None = UNSET
    name: str | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    audio: AudioReference | UnsetType = UNSET
    images: list[ImagePart] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    reasoning_details: list[ReasoningDetail] | UnsetType = UNSET


class AnthropicMetadata(Struct, frozen=True):
    user_id: str | None = None
