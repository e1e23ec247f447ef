"""Chat Completions requests as types: messages and their parts, tools, options.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Raw, Struct

from weebill.apis.chat.custom import CustomEntry
from weebill.wire.conversation import AudioOutput, CacheMark, Effort
from weebill.wire.openai_chat import Annotation, ExtraContent, File, ImageUrl, InputAudio, Name, ReasoningDetail

NO_ARGUMENTS: Final = "{}"


class CacheControl(Struct, frozen=True, forbid_unknown_fields=True):
    """`cache_control`, after Anthropic."""

    type: Literal["ephemeral"]
    ttl: CacheMark = "5m"


class CacheBreakpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """OpenAI's `prompt_cache_breakpoint`; `ttl` is the shortest time that shall do."""

    mode: Literal["explicit"]
    ttl: Literal["30m"] | None = None


class Cacheable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None

    @property
    def cache(self) -> CacheMark | None:
        if self.cache_control is not None:
            return self.cache_control.ttl
        if self.prompt_cache_breakpoint is not None:
            return "5m" if self.prompt_cache_breakpoint.ttl is None else "1h"
        return None


class TextPart(Cacheable, frozen=True, tag_field="type", tag="text", forbid_unknown_fields=True):
    """`{"type": "text"}`."""

    text: str


class ImageUrlPart(Cacheable, frozen=True, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    """`{"type": "image_url"}`."""

    image_url: ImageUrl


class AudioPart(Cacheable, frozen=True, tag_field="type", tag="input_audio", forbid_unknown_fields=True):
    """`{"type": "input_audio"}`."""

    input_audio: InputAudio


class FilePart(Cacheable, frozen=True, tag_field="type", tag="file", forbid_unknown_fields=True):
    """`{"type": "file"}`."""

    file: File


class RefusalPart(Cacheable, frozen=True, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    """`{"type": "refusal"}`, in assistant messages."""

    refusal: str


ContentPart = TextPart | ImageUrlPart | AudioPart | FilePart | RefusalPart


class FunctionCall(Struct, frozen=True):
    """The function that is called; `arguments` is a JSON object as text."""

    name: str
    arguments: str = NO_ARGUMENTS


class CustomCall(Struct, frozen=True):
    """A call of a custom tool; its `input` is text of any form."""

    name: str
    input: str = ""


class ToolCall(Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of `tool_calls`; `index` is what a stream left there."""

    id: str
    type: Literal["function", "custom"] = "function"
    function: FunctionCall | None = None
    custom: CustomCall | None = None
    index: int | None = None
    extra_content: ExtraContent | None = None
    cache_control: CacheControl | None = None


class AudioReference(Struct, frozen=True):
    """`audio` of an assistant message: what it said, by id; SDKs echo all that they were given."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None


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
    function_call: FunctionCall | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    annotations: list[Annotation] | None = None
    images: list[ImageEntry] | None = None
    cache_control: CacheControl | None = None


class FunctionEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A function; `parameters` is a JSON Schema object, which the request's decoding has made sure of."""

    name: str
    description: str | None = None
    parameters: Raw = Raw(b"null")
    strict: bool | None = None
    cache_control: CacheControl | None = None


class ToolEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of `tools`."""

    type: Literal["function", "custom"]
    function: FunctionEntry | None = None
    custom: CustomEntry | None = None
    cache_control: CacheControl | None = None


class FunctionChoice(Struct, frozen=True, tag_field="type", tag="function"):
    """`tool_choice` that names one function."""

    function: Name


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


class FunctionCallChoice(Struct, frozen=True):
    """The old `function_call` that names one function."""

    name: str


class JsonSchema(Struct, frozen=True):
    name: str | None = None
    schema: Raw = Raw(b"null")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


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
    functions: list[FunctionEntry] | None = None
    function_call: Literal["none", "auto"] | FunctionCallChoice | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    reasoning: ReasoningFields | None = None
    modalities: list[Literal["text", "audio", "image"]] | None = None
    audio: AudioOutput | None = None
