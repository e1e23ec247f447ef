"""Requests to `POST /v1/responses`: OpenAI's fields as types, and the body as it was sent.

What decides whom a request goes to and how it is kept is checked for all; the items of `input` only where they have to
be understood, because a target of the same API gets them byte for byte, those included that Weebill has never heard of.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from weebill.wire.body import invalid_body, take_own, top_level
from weebill.wire.call import Call, InboundRequest, Json
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.requests import ModelName, Probability, Temperature, TokenLimit

# A `Raw | None` would take nothing but null.
NULL: Final = Raw(b"null")
ENCRYPTED_REASONING: Final = "reasoning.encrypted_content"
TEXT_LOGPROBS: Final = "message.output_text.logprobs"


class ToolEntry(Struct, frozen=True):
    """A tool offered to the model; only a "function" has all of these fields."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: Raw = NULL
    strict: bool | None = None


class AllowedTool(Struct, frozen=True):
    """A tool that `allowed_tools` names."""

    type: str
    name: str | None = None


class ToolChoiceObject(Struct, frozen=True):
    """`tool_choice`: one tool, or "allowed_tools", of which `mode` says whether one must be called."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[AllowedTool] | None = None


class TextFormat(Struct, frozen=True):
    """`text.format`."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: Raw = NULL
    description: str | None = None
    strict: bool | None = None


class TextOptions(Struct, frozen=True):
    """`text`."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningConfig(Struct, frozen=True):
    """`reasoning`; `generate_summary` is the older name of `summary`."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class ResponsesRequest(InboundRequest, frozen=True, kw_only=True):
    """`POST /v1/responses`. `input` holds the client's own items, without those of earlier responses."""

    model: ModelName
    input: str | list[Raw] | None = None
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    conversation: str | Json | None = None
    previous_response_id: str | None = None
    prompt: Json | None = None
    include: list[str] | None = None
    max_output_tokens: TokenLimit | None = None
    max_tool_calls: int | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[ToolEntry] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoiceObject | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None

    @property
    def stored(self) -> bool:
        """Whether the response is to be kept; that is the default."""
        return self.store is not False


_decode_request: Final = msgspec.json.Decoder(ResponsesRequest).decode
# Of fields that are not served at all, what is said.
_NOT_SERVED: Final = {
    "background": "Weebill answers while the client waits; 'background' must be false.",
    "conversation": "Weebill keeps no conversations; continue with 'previous_response_id'.",
}


def decode_responses(body: bytes) -> Call:
    """The call in `body`. Raises ApiError 400 that names the field."""
    try:
        request, fields = _decode_request(body), top_level(body)
    except UNREADABLE as error:
        raise invalid_body(error) from error
    if request.background or request.conversation is not None:
        field = "background" if request.background else "conversation"
        raise ApiError(400, _NOT_SERVED[field], code="unsupported_parameter", param=field)
    if request.input is None and request.prompt is None and request.previous_response_id is None:
        message = "Missing required parameter: 'input'."
        raise ApiError(400, message, code="missing_required_parameter", param="input")
    own = take_own(fields)
    return Call(request, fields, request.model, bool(request.stream), True, own)
