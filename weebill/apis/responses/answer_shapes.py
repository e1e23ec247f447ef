"""Response objects as types.

Source: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

from weebill.wire.responses import ImageItem, MessageItem, ReasoningItem, UsageReport
from weebill.wire.responses_shapes import CallItem

Item = MessageItem | CallItem | ReasoningItem | ImageItem

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class IncompleteDetails(Struct, frozen=True):
    """`incomplete_details`."""

    reason: Literal["max_output_tokens", "content_filter"]


class ResponseError(Struct, frozen=True):
    """`error` of a response that failed; one of which more is said is an object with all of that."""

    code: str
    message: str


class ResponseObject(Struct, frozen=True, kw_only=True):
    """A Response with every field that the format demands, and those of the request that it echoes.

    A stream repeats these, so what may be long is kept as JSON: each time it is copied, which is quick.
    The Open Responses specification wants numbers where nothing was asked, so these are the format's own defaults.
    Source: https://www.openresponses.org/specification
    """

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status
    background: bool = False
    error: ResponseError | dict[str, str | Raw] | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: Raw
    max_output_tokens: int | None
    max_tool_calls: Raw
    model: str
    output: list[Item] | list[Raw]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt: Raw
    prompt_cache_key: Raw
    reasoning: Raw
    safety_identifier: Raw
    service_tier: str = "default"
    store: bool
    temperature: float
    text: Raw
    tool_choice: Raw
    tools: list[Raw]
    top_logprobs: int
    top_p: float
    presence_penalty: float = 0
    frequency_penalty: float = 0
    truncation: Raw
    usage: UsageReport | None = None
    user: Raw
    metadata: Raw
