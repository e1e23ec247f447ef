"""Chat completions, whole and in chunks, as types.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.openai_chat import (
    Annotation,
    CompletionDetails,
    FunctionDelta,
    ImagePart,
    PromptDetails,
    ReasoningDetail,
    ToolCallDelta,
)
from weebill.wire.openai_chat_request import CalledFunction, ToolCall


class UsageBody(Struct, frozen=True):
    """`usage`."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class AudioBody(Struct, frozen=True):
    """`audio`; `expires_at` is Unix time, 0 where the data are all there is."""

    id: str
    data: str
    transcript: str
    expires_at: int = 0


class QuotedSource(Struct, frozen=True, omit_defaults=True):
    """A citation without an address: offsets count characters of the message's text. `index` is for streams."""

    start_index: int
    end_index: int
    title: str | None = None
    quote: str | None = None
    index: int | UnsetType = UNSET


class MessageBody(Struct, frozen=True):
    role: str
    content: str | None
    refusal: str | None
    tool_calls: list[ToolCall] | UnsetType = UNSET
    function_call: CalledFunction | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    citations: list[QuotedSource] | UnsetType = UNSET
    audio: AudioBody | UnsetType = UNSET
    images: list[ImagePart] | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning_details: list[ReasoningDetail] | UnsetType = UNSET


class LogprobsBody(Struct, frozen=True):
    """`logprobs`."""

    content: tuple[Raw, ...]
    refusal: None = None


class ChoiceBody(Struct, frozen=True):
    index: int
    message: MessageBody
    logprobs: LogprobsBody | None
    finish_reason: str


class CompletionBody(Struct, frozen=True):
    id: str
    object: str
    created: int
    model: str
    choices: list[ChoiceBody]
    usage: UsageBody


class Delta(Struct, frozen=True):
    """A delta other than plain text, without the role."""

    content: str | UnsetType | None = UNSET
    tool_calls: list[ToolCallDelta | ToolCall] | UnsetType = UNSET
    function_call: FunctionDelta | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning_details: list[ReasoningDetail] | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    citations: list[QuotedSource] | UnsetType = UNSET
    images: list[ImagePart] | UnsetType = UNSET
    audio: AudioBody | UnsetType = UNSET
