"""Chat Completions requests as types, for both directions: as clients write them, and as upstreams get them.

Clients' are read strictly; what is written leaves out what has its default.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

from weebill.wire.anthropic import CacheControl, cache_mark
from weebill.wire.arguments import NO_ARGUMENTS
from weebill.wire.conversation import CacheMark
from weebill.wire.custom_input import told
from weebill.wire.openai_chat import ExtraContent, File, ImageUrl, InputAudio
from weebill.wire.requests import ABSENT


class CacheBreakpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """OpenAI's `prompt_cache_breakpoint`; `ttl` is the shortest time that shall do."""

    mode: Literal["explicit"]
    ttl: Literal["30m"] | None = None


class Cacheable(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part that may mark the end of what is worth keeping; `cache_control` is Anthropic's."""

    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None

    @property
    def cache(self) -> CacheMark | None:
        if self.prompt_cache_breakpoint is not None and self.cache_control is None:
            return "5m" if self.prompt_cache_breakpoint.ttl is None else "1h"
        return cache_mark(self.cache_control)


class TextPart(Cacheable, frozen=True, tag_field="type", tag="text"):
    """`{"type": "text"}`."""

    text: str


class ImageUrlPart(Cacheable, frozen=True, tag_field="type", tag="image_url"):
    """`{"type": "image_url"}`."""

    image_url: ImageUrl


class AudioPart(Cacheable, frozen=True, tag_field="type", tag="input_audio"):
    """`{"type": "input_audio"}`."""

    input_audio: InputAudio


class FilePart(Cacheable, frozen=True, tag_field="type", tag="file"):
    """`{"type": "file"}`."""

    file: File


class RefusalPart(Cacheable, frozen=True, tag_field="type", tag="refusal"):
    """`{"type": "refusal"}`, in assistant messages."""

    refusal: str


ContentPart = TextPart | ImageUrlPart | AudioPart | FilePart | RefusalPart


class CalledFunction(Struct, frozen=True):
    """`function` of a tool call, whole; `arguments` is a JSON object as text."""

    name: str
    arguments: str = NO_ARGUMENTS


class CalledCustom(Struct, frozen=True):
    """`custom` of a tool call, whole; its `input` is text of any form."""

    name: str
    input: str = ""


class ToolCall(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An entry of `tool_calls`, whole: of requests and of answers. `index` is for streams."""

    id: str
    type: Literal["function", "custom"]
    function: CalledFunction | None = None
    custom: CalledCustom | None = None
    index: int | None = None
    extra_content: ExtraContent | None = None
    cache_control: CacheControl | None = None


class AudioReference(Struct, frozen=True, omit_defaults=True):
    """`audio` of what an assistant said: the sound, whole or a piece, or its id alone; SDKs echo all of it."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None

    def is_there(self) -> bool:
        """Tells whether it says anything: some servers write an object of empty texts for none."""
        return bool(self.id or self.data or self.transcript)


class Function(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`function` of a tool; `parameters` is a JSON Schema object, which decoding has made sure of."""

    name: str
    description: str | None = None
    parameters: Raw = ABSENT
    strict: bool | None = None
    cache_control: CacheControl | None = None


class Grammar(Struct, frozen=True):
    """`grammar` of a custom tool's format."""

    syntax: str | None = None
    definition: str | None = None


class CustomFormat(Struct, frozen=True):
    """`format` of a custom tool."""

    type: str | None = None
    grammar: Grammar | None = None


class CustomTool(Struct, frozen=True):
    """`custom` of a tool."""

    name: str
    description: str | None = None
    format: CustomFormat | None = None

    def told(self) -> str | None:
        """The description, with what the input must look like."""
        grammar = self.format.grammar if self.format is not None else None
        return self.description if grammar is None else told(self.description, grammar.syntax, grammar.definition)


class ToolEntry(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An entry of `tools`."""

    type: Literal["function", "custom"]
    function: Function | None = None
    custom: CustomTool | None = None
    cache_control: CacheControl | None = None


class Name(Struct, frozen=True):
    """The name by which a choice of tools calls one."""

    name: str


class FunctionChoice(Struct, frozen=True, tag_field="type", tag="function"):
    """`tool_choice` that names one function."""

    function: Name


class JsonSchema(Struct, frozen=True, omit_defaults=True):
    """`json_schema` of an answer's form."""

    name: str | None = None
    schema: Raw = ABSENT
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True, omit_defaults=True):
    """`response_format`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
