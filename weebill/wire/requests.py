"""Requests to the inference endpoints: OpenAI's fields as types.

Source: https://platform.openai.com/docs/api-reference/chat/create and .../completions/create
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from weebill.wire.call import InboundRequest, Json

ModelName = Annotated[str, Meta(min_length=1, max_length=256)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
TokenLimit = Annotated[int, Meta(ge=1)]
ChoiceCount = Annotated[int, Meta(ge=1, le=128)]


class ContentPart(Struct, frozen=True, gc=False):
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


class Message(Struct, frozen=True, gc=False):
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

    @property
    def choices(self) -> int:
        """How many answers are asked for."""
        return self.n or 1


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

    @property
    def choices(self) -> int:
        """How many answers are asked for: `n` to each prompt."""
        prompts = self.prompt if isinstance(self.prompt, list) else ()
        several = len(prompts) if prompts and not isinstance(prompts[0], int) else 1
        return several * (self.n or 1)
