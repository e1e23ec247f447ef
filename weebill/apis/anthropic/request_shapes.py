"""Requests of Anthropic's Messages API as types, as far as `weebill.wire.anthropic` has none.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from weebill.wire import anthropic as wire
from weebill.wire.inbound import InboundRequest
from weebill.wire.requests import ModelName


class PromptRequest(InboundRequest, frozen=True, kw_only=True):
    """The fields that generating and counting tokens share, as far as every request is checked."""

    model: ModelName
    messages: Annotated[list[Raw], Meta(min_length=1)]


class MessagesRequest(PromptRequest, frozen=True, kw_only=True):
    """`POST /v1/messages`."""

    max_tokens: Annotated[int, Meta(ge=0)]
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None


class CountRequest(PromptRequest, frozen=True, kw_only=True):
    """`POST /v1/messages/count_tokens`."""


NOTHING: Final = Raw()


class ToolEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool with a schema. What follows `cache_control` is for Anthropic's models alone."""

    name: Annotated[str, Meta(min_length=1)]
    input_schema: Raw
    description: str | None = None
    type: str | None = None
    strict: bool | None = None
    cache_control: wire.CacheControl | None = None
    input_examples: Raw = NOTHING
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None


class ChoiceEntry(Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputConfig(Struct, frozen=True, forbid_unknown_fields=True):
    effort: str | None = None
    # Not `Raw | None`, which takes nothing but null.
    format: Raw = Raw(b"null")


class JsonFormat(Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    schema: Raw
    name: str | None = None
    description: str | None = None


class Metadata(Struct, frozen=True, forbid_unknown_fields=True):
    user_id: str | None = None


EMPTY_TEXT: Final = Raw(b'""')


class MessageHead(Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["user", "assistant", "system"]
    content: Raw = EMPTY_TEXT


class Typed(Struct, frozen=True):
    type: str = ""
