"""Requests of Anthropic's Messages API to upstreams as types, as far as `weebill.wire.anthropic` has none.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from weebill.wire import anthropic as wire


class Request(Struct, frozen=True, kw_only=True):
    model: str
    max_tokens: int
    messages: list[wire.Message]
    system: str | list[wire.TextBlock] | UnsetType = UNSET
    tools: list[wire.ToolEntry] | UnsetType = UNSET
    tool_choice: wire.ToolChoice | UnsetType = UNSET
    thinking: wire.Thinking | UnsetType = UNSET
    output_config: wire.OutputConfig | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_k: int | UnsetType = UNSET
    stop_sequences: tuple[str, ...] | UnsetType = UNSET
    metadata: wire.Metadata | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
