"""Chat Completions requests of clients as types: messages, choices of tools, options.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

from weebill.wire.anthropic import CacheControl
from weebill.wire.conversation import AudioOutput, Effort
from weebill.wire.openai_chat import Annotation, ImageUrl, ReasoningDetail
from weebill.wire.openai_chat_request import (
    AudioReference,
    CalledFunction,
    ContentPart,
    Function,
    FunctionChoice,
    Name,
    ResponseFormat,
    ToolCall,
    ToolEntry,
)


class ImageEntry(Struct, frozen=True):
    """An entry of `images`."""

    image_url: ImageUrl


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of `messages`."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    audio: AudioReference | None = None
    function_call: CalledFunction | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    annotations: list[Annotation] | None = None
    images: list[ImageEntry] | None = None
    cache_control: CacheControl | None = None


class CustomChoice(Struct, frozen=True, tag_field="type", tag="custom"):
    """`tool_choice` that names one custom tool."""

    custom: Name


class AllowedTool(Struct, frozen=True):
    type: str = "function"
    function: Name | None = None
    custom: Name | None = None

    @property
    def name(self) -> str | None:
        named = self.function or self.custom
        return named.name if named is not None else None


class AllowedTools(Struct, frozen=True):
    mode: Literal["auto", "required"]
    tools: list[AllowedTool]


class AllowedToolsChoice(Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """`tool_choice` that allows some of the tools."""

    allowed_tools: AllowedTools


ToolChoiceEntry = Literal["none", "auto", "required"] | FunctionChoice | CustomChoice | AllowedToolsChoice


class ReasoningFields(Struct, frozen=True, forbid_unknown_fields=True):
    """OpenRouter's `reasoning`."""

    effort: Effort | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None
    summary: str | None = None


class ChatFields(Struct, frozen=True, kw_only=True):
    """The fields that have a place in the canonical form."""

    messages: list[Message]
    model: str
    stream: bool | None = None
    stream_options: Raw = Raw(b"null")
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    tools: list[ToolEntry] | None = None
    tool_choice: ToolChoiceEntry | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: Literal["none", "auto"] | Name | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    reasoning: ReasoningFields | None = None
    modalities: list[Literal["text", "audio", "image"]] | None = None
    audio: AudioOutput | None = None
