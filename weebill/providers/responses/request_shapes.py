"""Requests of the Responses API to upstreams as types.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.responses import Item
from weebill.wire.responses_request import NamedTool, ReasoningConfig, TextFormat, ToolEntry


class TextOptions(Struct, frozen=True, omit_defaults=True):
    """`text`; the provider judges its `verbosity`."""

    format: TextFormat | None = None
    verbosity: Raw | None = None


class Request(Struct, frozen=True, kw_only=True):
    model: str
    input: list[Item]
    store: Literal[False] = False
    stream: bool | UnsetType = UNSET
    include: list[str] | UnsetType = UNSET
    tools: list[ToolEntry] | UnsetType = UNSET
    tool_choice: str | NamedTool | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    text: TextOptions | UnsetType = UNSET
    reasoning: ReasoningConfig | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_logprobs: int | UnsetType = UNSET
