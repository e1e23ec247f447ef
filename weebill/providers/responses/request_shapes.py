"""Requests of the Responses API to upstreams as types.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.responses import Item


class FunctionTool(Struct, frozen=True, omit_defaults=True):
    """A tool. `strict` is always said: left out it means true here, and false everywhere else."""

    type: str
    name: str
    parameters: Raw
    strict: bool
    description: str | None = None


class Named(Struct, frozen=True):
    name: str
    type: str = "function"


class Allowed(Struct, frozen=True):
    mode: str
    tools: list[Named]
    type: str = "allowed_tools"


class Format(Struct, frozen=True, omit_defaults=True):
    type: str
    name: str | None = None
    schema: Raw | None = None
    description: str | None = None
    strict: bool | None = None


class TextOptions(Struct, frozen=True, omit_defaults=True):
    format: Format | None = None
    verbosity: Raw | None = None


class ReasoningFields(Struct, frozen=True, omit_defaults=True):
    effort: str | None = None
    summary: str | None = None


class Request(Struct, frozen=True, kw_only=True):
    model: str
    input: list[Item]
    store: Literal[False] = False
    stream: bool | UnsetType = UNSET
    include: list[str] | UnsetType = UNSET
    tools: list[FunctionTool] | UnsetType = UNSET
    tool_choice: str | Named | Allowed | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    text: TextOptions | UnsetType = UNSET
    reasoning: ReasoningFields | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_logprobs: int | UnsetType = UNSET
