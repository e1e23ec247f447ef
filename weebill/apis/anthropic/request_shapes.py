"""Requests of Anthropic's Messages API as types, as far as `weebill.wire.anthropic` has none.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

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


class OutputConfig(Struct, frozen=True, forbid_unknown_fields=True):
    effort: str | None = None
    # Not `Raw | None`, which takes nothing but null.
    format: Raw = Raw(b"null")


EMPTY_TEXT: Final = Raw(b'""')


class MessageHead(Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["user", "assistant", "system"]
    content: Raw = EMPTY_TEXT


class Typed(Struct, frozen=True):
    type: str = ""
