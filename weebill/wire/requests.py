"""Requests to the inference endpoints: OpenAI's fields as types, and the body as it was sent.

A body is decoded twice in one go each: into a struct, which validates the fields that OpenAI documents, and into
the raw JSON of each top-level field, so that whatever the gateway does not know still reaches the upstream.

Source: https://platform.openai.com/docs/api-reference/chat/create and .../completions/create
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from weebill.wire.call import Call, InboundRequest, Json, take_own, top_level
from weebill.wire.errors import UNREADABLE, ApiError

ModelName = Annotated[str, Meta(min_length=1, max_length=256)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
TokenLimit = Annotated[int, Meta(ge=1)]
ChoiceCount = Annotated[int, Meta(ge=1, le=128)]


class ContentPart(Struct, frozen=True):
    """One part of a message: text, image_url, input_audio, file or refusal."""

    type: str
    text: str | UnsetType = UNSET


class FunctionCall(Struct, frozen=True):
    """The function that a tool call names; `arguments` is JSON as text."""

    name: str
    arguments: str


class ToolCall(Struct, frozen=True):
    """A tool call of an earlier assistant message."""

    id: str
    type: str = "function"
    function: FunctionCall | None = None


class Message(Struct, frozen=True):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class FunctionDefinition(Struct, frozen=True):
    """A function that the model may call; `parameters` is a JSON Schema object."""

    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class Tool(Struct, frozen=True):
    """A tool offered to the model."""

    type: str
    function: FunctionDefinition | None = None


class JsonSchemaFormat(Struct, frozen=True):
    """`response_format.json_schema`."""

    name: str
    schema: Json | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True):
    """`response_format`: text, json_object or json_schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class StreamOptions(Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None


class GenerationRequest(InboundRequest, frozen=True, kw_only=True):
    """What both generation endpoints share."""

    model: ModelName
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: ChoiceCount | None = None
    max_tokens: TokenLimit | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    stop: str | Annotated[list[str], Meta(max_length=16)] | None = None
    seed: int | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether a stream shall end with a chunk that carries the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class ChatRequest(GenerationRequest, frozen=True, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: TokenLimit | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | Json | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    metadata: dict[str, str] | None = None


class CompletionRequest(GenerationRequest, frozen=True, kw_only=True):
    """`POST /v1/completions`."""

    prompt: str | list[str | int | list[int]]
    best_of: ChoiceCount | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    suffix: str | None = None


_decode_chat = msgspec.json.Decoder(ChatRequest).decode
_decode_completion = msgspec.json.Decoder(CompletionRequest).decode


def decode_chat(body: bytes) -> Call:
    """The call in `body`. Raises ApiError 400 that names the field."""
    try:
        return _call(_decode_chat(body), top_level(body))
    except UNREADABLE as error:
        raise invalid_body(error) from error


def decode_completion(body: bytes) -> Call:
    """The call in `body`. Raises ApiError 400 that names the field."""
    try:
        return _call(_decode_completion(body), top_level(body))
    except UNREADABLE as error:
        raise invalid_body(error) from error


def _call(request: ChatRequest | CompletionRequest, fields: Json) -> Call:
    own = take_own(fields)
    return Call(request, fields, request.model, bool(request.stream), request.wants_usage, own)


_PATH = re.compile(r" - at `(?:key` in `)?\$\.?(.*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")


def invalid_body(error: Exception) -> ApiError:
    """What a client is told of a body that does not decode.

    >>> invalid_body(msgspec.ValidationError("Expected `str`, got `int` - at `$.messages[0].role`")).detail.param
    'messages[0].role'
    """
    if not isinstance(error, msgspec.ValidationError):
        return ApiError(400, f"The request body is not valid JSON: {error}.", code="invalid_json")
    text = str(error)
    path = _PATH.search(text)
    where = path.group(1) if path else ""
    missing = _MISSING.search(text)
    if missing:
        param = f"{where}.{missing.group(1)}" if where else missing.group(1)
        return ApiError(400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)
    reason = _PATH.sub("", text)
    if not where:
        return ApiError(400, f"The request body must be a JSON object: {reason}.", code="invalid_type")
    return ApiError(400, f"Invalid value for '{where}': {reason}.", code="invalid_value", param=where)
