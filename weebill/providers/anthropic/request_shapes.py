"""Requests of Anthropic's Messages API to upstreams as types, as far as `weebill.wire.anthropic` has none.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire import anthropic as wire

Content = str | list[wire.Block]


class Message(Struct, frozen=True):
    """One message; a lone text goes as such."""

    role: Literal["user", "assistant"]
    content: Content


class ToolEntry(Struct, frozen=True, omit_defaults=True):
    name: str
    input_schema: Raw
    description: str | None = None
    strict: bool | None = None
    cache_control: wire.CacheControl | None = None


class Metadata(Struct, frozen=True):
    user_id: str


class Request(Struct, frozen=True, kw_only=True):
    model: str
    max_tokens: int
    messages: list[Message]
    system: str | list[wire.TextBlock] | UnsetType = UNSET
    tools: list[ToolEntry] | UnsetType = UNSET
    tool_choice: wire.ToolChoice | UnsetType = UNSET
    thinking: wire.Thinking | UnsetType = UNSET
    output_config: wire.OutputConfig | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_k: int | UnsetType = UNSET
    stop_sequences: tuple[str, ...] | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
