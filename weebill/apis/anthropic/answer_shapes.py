"""Answers of Anthropic's Messages API, whole and as events, as types.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from weebill.wire.anthropic import (
    Base64Source,
    RedactedThinkingBlock,
    StopDetails,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    UrlSource,
)
from weebill.wire.anthropic_usage import UsageReport


class MediaBlock(Struct, frozen=True):
    """A picture that a model made. Anthropic's own models make none: the form is that of its requests."""

    type: Literal["image"]
    source: Base64Source | UrlSource


AnswerBlock = TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | MediaBlock


class Stop(Struct, frozen=True):
    """The reason for an answer's end: part of a message, and of `message_delta`."""

    stop_reason: str | None
    stop_sequence: str | None
    stop_details: StopDetails | UnsetType = UNSET


class AnswerMessage(Struct, frozen=True, tag="message"):
    """A message as an answer."""

    id: str
    role: Literal["assistant"]
    model: str
    content: list[AnswerBlock]
    stop_reason: str | None
    stop_sequence: str | None
    usage: UsageReport
    stop_details: StopDetails | UnsetType = UNSET


class MessageStart(Struct, frozen=True, tag="message_start"):
    message: AnswerMessage


class ToolUseStart(Struct, frozen=True, tag="tool_use"):
    id: str
    name: str
    input: dict[str, str] = {}


class BlockStart(Struct, frozen=True, tag="content_block_start"):
    index: int
    content_block: AnswerBlock | ToolUseStart


class MessageDelta(Struct, frozen=True, tag="message_delta"):
    delta: Stop
    usage: UsageReport
