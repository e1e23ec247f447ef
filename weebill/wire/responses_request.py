"""Requests to `POST /v1/responses`: OpenAI's fields as types, and the body as it was sent.

Tools, choices of them and options are written to upstreams as they are read: what is not set is left out.

What decides whom a request goes to and how it is kept is checked for all; the items of `input` only where they have to
be understood, because a target of the same API gets them byte for byte, those included that Weebill has never heard of.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.wire.body import invalid_body, take_own, top_level
from weebill.wire.call import Call
from weebill.wire.errors import UNREADABLE, missing_parameter
from weebill.wire.inbound import InboundRequest, Json
from weebill.wire.requests import Judged, ModelName, TokenLimit
from weebill.wire.whole_numbers import with_whole_numbers

# A `Raw | None` would take nothing but null.
NULL: Final = Raw(b"null")
ENCRYPTED_REASONING: Final = "reasoning.encrypted_content"
TEXT_LOGPROBS: Final = "message.output_text.logprobs"


class ToolEntry(Struct, frozen=True, omit_defaults=True):
    """A tool offered to the model, of any type: what belongs to its type is set."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    parameters: Raw = NULL
    strict: bool | None = None
    format: Raw = NULL
    tools: Raw = NULL
    execution: str | None = None
    environment: Raw = NULL


class ToolFormat(Struct, frozen=True):
    """`format` of a custom tool: "text", or a "grammar" in a `syntax` such as "lark"."""

    type: str | None = None
    syntax: str | None = None
    definition: str | None = None


class NamedTool(Struct, frozen=True, omit_defaults=True):
    """A tool that a choice names."""

    type: str | None = None
    name: str | None = None
    namespace: str | None = None


class ToolChoiceObject(NamedTool, frozen=True):
    """`tool_choice`: one tool, or "allowed_tools", of which `mode` says whether one must be called."""

    mode: str | None = None
    tools: list[NamedTool] | None = None


class TextFormat(Struct, frozen=True, omit_defaults=True):
    """`text.format`."""

    type: str = "text"
    name: str | None = None
    schema: Raw = NULL
    description: str | None = None
    strict: bool | None = None


class TextOptions(Struct, frozen=True):
    """`text`."""

    format: TextFormat | None = None
    verbosity: str | None = None


class ReasoningConfig(Struct, frozen=True, omit_defaults=True):
    """`reasoning`; `generate_summary` is the older name of `summary`."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class ResponsesRequest(InboundRequest, frozen=True, kw_only=True):
    """`POST /v1/responses`. `input` holds the client's own items, without those of earlier responses.

    What is `Raw` is read where a target of another API is to get it: one of the same judges it by itself.
    """

    model: ModelName
    input: str | list[Raw] | None = None
    instructions: str | list[Raw] | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    conversation: str | Json | None = None
    previous_response_id: str | None = None
    prompt: Json | None = None
    include: list[str] | None = None
    max_output_tokens: TokenLimit | None = None
    max_tool_calls: Judged = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    tools: list[Raw] | None = None
    tool_choice: Raw = NULL
    parallel_tool_calls: bool | None = None
    text: Raw = NULL
    reasoning: Raw = NULL

    @property
    def stored(self) -> bool:
        """Tells whether the response is to be kept; that is the default."""
        return self.store is not False


_decode_request: Final = msgspec.json.Decoder(ResponsesRequest).decode


def decode_responses(body: bytes) -> Call:
    """The call in `body`. Raises ApiError 400 that names the field."""
    try:
        request, fields = _decode_request(body), top_level(body)
    except UNREADABLE as error:
        mended = with_whole_numbers(body, ResponsesRequest)
        if mended is not None:
            return decode_responses(mended)
        raise invalid_body(error) from error
    if request.previous_response_id == "":
        request = msgspec.structs.replace(request, previous_response_id=None)
        del fields["previous_response_id"]
    if request.input is None and request.prompt is None and request.previous_response_id is None:
        raise missing_parameter("input")
    own = take_own(fields)
    return Call(request, fields, request.model, bool(request.stream), True, own)
