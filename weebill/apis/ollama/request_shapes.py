"""Requests of Ollama's API as types.

Sources: https://docs.ollama.com/api/chat, https://docs.ollama.com/api/generate and
https://github.com/ollama/ollama/blob/main/api/types.go
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

from weebill.wire.inbound import InboundRequest
from weebill.wire.requests import ABSENT, ModelName

MAX_TOP_LOGPROBS: Final = 20
Count = int | float | None
"""A whole number; a fraction is cut off, as Ollama does."""


class Strict(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Base of objects whose unknown members are set aside, where this type refuses them (`members.read`)."""


class Options(Strict, frozen=True):
    """The members of `options` that several APIs have; those of Ollama's alone stay raw."""

    num_predict: Count = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Count = None
    min_p: float | None = None
    seed: Count = None
    stop: list[str] | str | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class CalledFunction(Struct, frozen=True, gc=False):
    """The function of a call; `arguments` is an object, and some clients write its JSON as text."""

    name: str
    # Not `Raw | None`, which takes nothing but null.
    arguments: Raw = ABSENT


class ToolCall(Struct, frozen=True, gc=False):
    """A call that a model made; older versions and most clients leave out the id."""

    function: CalledFunction
    id: str | None = None


class Message(Strict, frozen=True):
    """A message; `images` are base64. `tool_name` was `name` in older clients."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    name: str | None = None
    tool_call_id: str | None = None


class Function(Strict, frozen=True):
    """A function that is offered; `parameters` is a JSON Schema object."""

    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: Raw = ABSENT


class Tool(Strict, frozen=True):
    """A tool that is offered."""

    function: Function
    type: str | None = "function"


class ToolHead(Strict, frozen=True):
    """A tool whose function is yet to be read."""

    function: Raw
    type: str | None = "function"


class Body(Struct, frozen=True, gc=False, kw_only=True):
    """The fields that both endpoints have; what is raw is read with the conversation."""

    model: ModelName
    stream: bool | None = None
    options: Raw = ABSENT
    format: Raw = ABSENT
    think: bool | str | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=MAX_TOP_LOGPROBS)] | None = None


class ChatBody(Body, frozen=True, kw_only=True):
    """`POST /api/chat`."""

    messages: Raw = ABSENT
    tools: Raw = ABSENT


class GenerateBody(Body, frozen=True, kw_only=True):
    """`POST /api/generate`."""

    prompt: str | None = None
    system: str | None = None
    images: list[str] | None = None


class OllamaRequest(InboundRequest, frozen=True):
    """A validated request; `since` is when it was read, in nanoseconds of `time.monotonic_ns`."""

    body: ChatBody | GenerateBody
    since: int


class EmbedBody(Struct, frozen=True, kw_only=True):
    """`POST /api/embed`, or with `prompt` the older `POST /api/embeddings`."""

    model: ModelName
    input: str | list[str] | None = None
    prompt: str | None = None


class ShowBody(Struct, frozen=True):
    """`POST /api/show`; `name` is the older word for `model`."""

    model: str | None = None
    name: str | None = None
