"""A request in no API's words: what every inbound API is read into and every outbound dialect written from.

It holds what at least two of the APIs can say. Whatever only one of them can say stays in `extra`, under the name
that API gives it, so that it reaches a target that knows it, or is passed over or refused by name, never in silence.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct

from weebill.wire.json_values import Json as Json

Role = Literal["system", "developer", "user", "assistant", "tool"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
CacheMark = Literal["5m", "1h"]
"""The time for which a provider shall keep the prompt up to and including what is marked."""

Maker = str
"""The dialect family whose model made something opaque: "openai", "anthropic", "gemini", "bedrock", ..."""


class Citation(Struct, frozen=True):
    """The source of a piece of text; offsets count characters of the text part it is in.

    `raw` is the citation as its origin wrote it, for the way back.
    """

    url: str | None = None
    title: str | None = None
    quote: str | None = None
    start: int | None = None
    end: int | None = None
    origin: Maker = ""
    raw: Raw | None = None


class Text(Struct, frozen=True, tag="text"):
    """Text."""

    text: str
    cache: CacheMark | None = None
    citations: tuple[Citation, ...] = ()


class Image(Struct, frozen=True, tag="image"):
    """An image: exactly one of `url` (http or https), `data` (base64, with `media_type`) and `file_id`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    file_id: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    cache: CacheMark | None = None


class Audio(Struct, frozen=True, tag="audio"):
    """Sound: base64 `data` in `format`, such as "wav" or "mp3"; `transcript` and `id` where a model made it."""

    data: str
    format: str
    transcript: str | None = None
    id: str | None = None


class Document(Struct, frozen=True, tag="document"):
    """A file such as a PDF: exactly one of `url`, `data` (base64), `text` and `file_id`."""

    url: str | None = None
    data: str | None = None
    text: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    name: str | None = None
    cite: bool = False
    cache: CacheMark | None = None


class ToolUse(Struct, frozen=True, tag="tool_use"):
    """A call that a model made; `arguments` is JSON as text, "{}" if there are none.

    `signature` is what `origin` wants back with the call (Gemini's thoughtSignature).
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None
    origin: Maker = ""
    cache: CacheMark | None = None


class ToolResult(Struct, frozen=True, tag="tool_result"):
    """The result of a call; `name` is the tool's where the API says it."""

    call_id: str
    content: tuple[Text | Image | Document, ...]
    name: str | None = None
    is_error: bool = False
    cache: CacheMark | None = None


class Reasoning(Struct, frozen=True, tag="reasoning"):
    """A model's thinking: `text` for people, the rest opaque and of worth to its `origin` alone.

    `signature` vouches for `text`; `encrypted` replaces it (Anthropic's redacted thinking, OpenAI's
    `encrypted_content`); `id` is that of an OpenAI reasoning item.
    """

    text: str = ""
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None
    origin: Maker = ""


class Refusal(Struct, frozen=True, tag="refusal"):
    """A model's words for why it will not answer."""

    text: str


Part = Text | Image | Audio | Document | ToolUse | ToolResult | Reasoning | Refusal


class Turn(Struct, frozen=True):
    """One message. Tool results are parts of a turn whose role is "tool"; several may share one."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(Struct, frozen=True):
    """A function offered to the model; `parameters` is a JSON Schema object, None if it takes nothing."""

    name: str
    description: str | None = None
    parameters: Raw | None = None
    strict: bool | None = None
    cache: CacheMark | None = None


class ToolChoice(Struct, frozen=True):
    """Says whether tools are called: `names` restricts to these where it is not empty."""

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] = ()
    parallel: bool | None = None


class OutputFormat(Struct, frozen=True):
    """The form of the answer's text: any JSON object, or one that fits `schema`."""

    type: Literal["json_object", "json_schema"]
    schema: Raw | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ReasoningOptions(Struct, frozen=True):
    """Says how much to think: `effort` in words, or `budget_tokens`; `enabled` False says not at all.

    `summary` asks for words about the thinking ("auto", "concise", "detailed"); `include` for the thinking itself.
    """

    enabled: bool | None = None
    effort: Effort | None = None
    budget_tokens: int | None = None
    summary: str | None = None
    include: bool | None = None


class AudioOutput(Struct, frozen=True):
    """The voice and format of a spoken answer."""

    voice: str
    format: str


class Conversation(Struct, frozen=True, kw_only=True):
    """A request to generate. Every field but `turns` may be absent; absent means the target's own default.

    `extra` holds what has no counterpart here, by its inbound name, or its path (`tools[0].defer_loading`) where it is
    not at the top. `hints` are fields that say nothing about the answer (whom it is for, how it is billed) and that
    several APIs have.
    """

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    output: OutputFormat | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    reasoning: ReasoningOptions | None = None
    modalities: tuple[Literal["text", "audio", "image"], ...] = ()
    audio: AudioOutput | None = None
    hints: Json = {}
    extra: Json = {}
