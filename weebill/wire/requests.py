"""Requests to the inference endpoints: what the gateway itself reads of OpenAI's fields, as types.

Words and ranges are left to whoever serves the request: those that are new today are a provider's tomorrow.

Source: https://platform.openai.com/docs/api-reference/chat/create and .../completions/create
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

from weebill.wire.inbound import InboundRequest, Json

ModelName = Annotated[str, Meta(min_length=1, max_length=256)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
TokenLimit = Annotated[int, Meta(ge=1)]
Probability = Annotated[float, Meta(ge=0, le=1)]
ChoiceCount = Annotated[int, Meta(ge=1, le=128)]
Judged = int | str | bool | None
"""A whole number that whoever serves the request judges: a text is one for some."""


class ContentPart(Struct, frozen=True, gc=False):
    """One part of a message: text, image_url, input_audio, file, refusal, or what a provider has besides."""

    type: str | None = "text"
    text: str | None = None


ABSENT: Final = Raw(b"null")
"""Stands for a member that is not there."""


class Message(Struct, frozen=True, gc=False):
    """One message of a conversation; `parsed` is what an SDK of OpenAI's has made of its text."""

    role: str
    content: str | list[ContentPart | str] | None = None
    tool_call_id: Raw = ABSENT
    parsed: Raw = ABSENT


class FunctionDefinition(Struct, frozen=True):
    """A function that the model may call; `parameters` is a JSON Schema object."""

    name: str
    parameters: Json | None = None


class Tool(Struct, frozen=True):
    """A tool offered to the model; Mistral's clients say no type."""

    type: str | None = "function"
    function: FunctionDefinition | None = None


class JsonSchemaFormat(Struct, frozen=True):
    """`response_format.json_schema`."""

    schema: Json | None = None


class ResponseFormat(Struct, frozen=True):
    """`response_format`: text, json_object, json_schema, or what a provider has besides."""

    type: str | None = "text"
    json_schema: JsonSchemaFormat | None = None


class StreamOptions(Struct, frozen=True):
    """`stream_options`."""

    include_usage: bool | None = None


class GenerationRequest(InboundRequest, frozen=True, kw_only=True):
    """The fields that both generation endpoints share."""

    model: ModelName
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: ChoiceCount | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None

    @property
    def wants_usage(self) -> bool:
        """Tells whether a stream shall end with a chunk that carries the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def choices(self) -> int:
        """The number of answers that are asked for."""
        return self.n or 1


class ChatRequest(GenerationRequest, frozen=True, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: int | None = None
    top_k: Judged = None
    top_logprobs: Judged = None
    tools: list[Tool] | None = None
    tool_choice: str | Json | None = None
    response_format: ResponseFormat | None = None


class CompletionRequest(GenerationRequest, frozen=True, kw_only=True):
    """`POST /v1/completions`."""

    prompt: str | list[str | int | list[int]]
    best_of: ChoiceCount | None = None
    echo: bool | None = None
    logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    suffix: str | None = None

    @property
    def choices(self) -> int:
        """The number of answers that are asked for: `n` to each prompt."""
        prompts = self.prompt if isinstance(self.prompt, list) else ()
        several = len(prompts) if prompts and not isinstance(prompts[0], int) else 1
        return several * (self.n or 1)
