"""Google's generateContent requests.

Values are those of the client: which of them a model takes, its provider says. Google's JSON parser takes camelCase and
snake_case alike, numbers as texts, and one value where a list is due; `camel_case` brings a body to the form that the
types have.

Source: https://ai.google.dev/api/generate-content and https://ai.google.dev/api/tokens
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Annotated, Final, Literal, NamedTuple, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Raw, Struct

from weebill.wire.call import Call
from weebill.wire.conversation import ReasoningOptions
from weebill.wire.gemini import AnyJson, Content, Wire
from weebill.wire.inbound import InboundRequest, Json
from weebill.wire.json_values import decode_list, decode_object

T = TypeVar("T")

_LEVELS: Final[dict[str, Literal["minimal", "low", "medium", "high", "xhigh"]]] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}


class FunctionDeclaration(Wire, frozen=True):
    """A function; its parameters are either in Google's subset of OpenAPI's schema or in JSON Schema."""

    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: AnyJson = UNSET
    parameters_json_schema: AnyJson = UNSET
    response: AnyJson = UNSET
    response_json_schema: AnyJson = UNSET


class Tool(Wire, frozen=True):
    """Functions; or one of Google's own tools, which stay raw."""

    function_declarations: list[FunctionDeclaration] | FunctionDeclaration | None = None


class FunctionCallingConfig(Wire, frozen=True):
    """Says whether functions are called."""

    mode: str | None = None
    allowed_function_names: list[str] | str | None = None


class ToolConfig(Wire, frozen=True):
    """The settings of how tools are used."""

    function_calling_config: FunctionCallingConfig | None = None


class ThinkingConfig(Wire, frozen=True):
    """Says how much to think: a level, or tokens, of which 0 is none and -1 as many as it takes."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None

    @property
    def known_level(self) -> bool:
        """Tells whether the level, if there is one, has a counterpart."""
        return self.thinking_level is None or self.thinking_level.upper() in _LEVELS

    def reasoning(self) -> ReasoningOptions | None:
        """As options; None if nothing is said. What is not asked for is not to be shown."""
        budget, level = self.thinking_budget, _LEVELS.get((self.thinking_level or "").upper())
        if budget is None and level is None and not self.include_thoughts:
            return None
        return ReasoningOptions(
            enabled=None if budget is None else budget != 0,
            effort=level,
            budget_tokens=budget if budget is not None and budget > 0 else None,
            include=bool(self.include_thoughts),
        )


class PrebuiltVoice(Wire, frozen=True):
    """A voice of Google's."""

    voice_name: str | None = None


class VoiceConfig(Wire, frozen=True):
    """A voice."""

    prebuilt_voice_config: PrebuiltVoice | None = None


class SpeechConfig(Wire, frozen=True):
    """The settings of a spoken answer."""

    voice_config: VoiceConfig | None = None


class GenerationConfig(Wire, frozen=True):
    """The settings of the answer."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | str | None = None
    candidate_count: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_mime_type: str | None = None
    response_schema: AnyJson = UNSET
    response_json_schema: AnyJson = UNSET
    response_logprobs: bool | None = None
    logprobs: int | None = None
    thinking_config: ThinkingConfig | None = None
    response_modalities: list[str] | str | None = None
    speech_config: SpeechConfig | None = None
    media_resolution: str | None = None


class GenerateContentRequest(Wire, frozen=True):
    """The body of generateContent and streamGenerateContent."""

    contents: list[Content | str] | Content | str
    system_instruction: Content | str | None = None
    tools: list[Tool] | Tool | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    safety_settings: AnyJson = UNSET
    cached_content: str | None = None
    labels: AnyJson = UNSET
    service_tier: AnyJson = UNSET
    store: AnyJson = UNSET


_OPEN: Final = frozenset(
    {GenerateContentRequest, Tool, ToolConfig, FunctionCallingConfig, GenerationConfig, ThinkingConfig, SpeechConfig}
    | {VoiceConfig, PrebuiltVoice}
)
"""Messages whose unknown members the translation finds by itself."""


def exact(struct: type[T]) -> type[T]:
    """`struct` as a type that takes documented members alone, but for those in `_OPEN`; its values are the same."""
    return cast("type[T]", _exact(cast("type[Struct]", struct)))


@cache
def _exact(struct: type[Struct]) -> type[Struct]:
    fields = [
        (field.name, _exactly(field.type), field.default) if not field.required else (field.name, _exactly(field.type))
        for field in msgspec.structs.fields(struct)
    ]
    return msgspec.defstruct(
        struct.__name__, fields, bases=(struct,), module=__name__, forbid_unknown_fields=struct not in _OPEN
    )


def _exactly(hint: object) -> object:
    """A field's type with `exact` messages in it."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _exact(hint)
    if isinstance(hint, UnionType):
        return Union[tuple(map(_exactly, get_args(hint)))]  # noqa: UP007 - of arms that are known only here
    if get_origin(hint) is list:
        return list[_exactly(get_args(hint)[0])]  # type: ignore[misc]
    return hint


# Fields in which one value may stand for a list.
_LISTS: Final = frozenset({"contents", "parts", "tools", "functionDeclarations"})
_Names = dict[str, tuple[str, type[Struct] | None]]


@cache
def _names(struct: type[Struct]) -> _Names:
    """For each name of a field, either way, its name in camelCase and the message that it holds, if it holds one."""
    names: _Names = {}
    for field in msgspec.structs.fields(struct):
        entry = (field.encode_name, _message(field.type))
        names[field.name] = names[field.encode_name] = entry
    return names


def _message(hint: object) -> type[Struct] | None:
    """The message in a field's type, or in its list's."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return hint
    if isinstance(hint, UnionType) or get_origin(hint) in (list, Annotated):
        return next((found for arm in get_args(hint) if (found := _message(arm)) is not None), None)
    return None


@cache
def _snake_names(struct: type[Struct]) -> frozenset[str]:
    """All names of fields in snake_case, of a message and those in it, that camelCase writes otherwise."""
    found: set[str] = set()
    waiting, seen = [struct], {struct}
    while waiting:
        for name, (camel, message) in _names(waiting.pop()).items():
            if name != camel:
                found.add(name)
            if message is not None and message not in seen:
                seen.add(message)
                waiting.append(message)
    return frozenset(found)


_SNAKE_NAMES: Final = "|".join(sorted(_snake_names(GenerateContentRequest)))
_SNAKE: Final = re.compile(b'"(?:' + _SNAKE_NAMES.encode() + rb')"\s*:')


def camel_case(body: bytes, struct: type[Struct]) -> bytes:
    """`body` with the names of `struct`'s fields in camelCase; what its messages hold raw keeps every byte.

    Raises msgspec.DecodeError.
    """
    if body.find(b"_") < 0 or _SNAKE.search(body) is None:
        return body
    return renamed(body, struct)


def renamed(body: bytes, struct: type[Struct]) -> bytes:
    """`camel_case` for messages that are no part of a GenerateContentRequest."""
    return _renamed(Raw(body), struct)


def _renamed(value: Raw, struct: type[Struct]) -> bytes:
    text = bytes(value).lstrip()
    if text[:1] == b"[":
        return b"[" + b",".join([_renamed(item, struct) for item in decode_list(text)]) + b"]"
    if text[:1] != b"{":
        return text
    names = _names(struct)
    fields: dict[str, Raw] = {}
    for name, field in decode_object(text).items():
        camel, message = names.get(name, (name, None))
        fields[camel] = field if message is None else Raw(_renamed(field, message))
    return msgspec.json.encode(fields)


def listed(value: list[T] | T | None) -> list[T]:
    """A list where one value may stand for it."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


class GeminiRequest(InboundRequest, frozen=True):
    """A validated request. `array` is whether a stream is one JSON array rather than server-sent events."""

    body: GenerateContentRequest
    array: bool = False

    @property
    def choices(self) -> int:
        """The number of answers that are asked for."""
        config = self.body.generation_config
        return 1 if config is None else config.candidate_count or 1


def wants_array(call: Call) -> bool:
    """Tells whether the stream that answers `call` is a JSON array."""
    return isinstance(call.request, GeminiRequest) and call.request.array


class Unknown(NamedTuple):
    """A member that is not documented, by where it is."""

    path: str
    value: Raw


def unknown_members(fields: Json) -> Iterator[Unknown]:
    """The members that `exact` messages of a request would not take."""
    for name, (camel, message) in _names(GenerateContentRequest).items():
        if name == camel and message is not None and name in fields:
            yield from _unknown(fields[name], name, message)


def _unknown(value: Raw, path: str, struct: type[Struct]) -> Iterator[Unknown]:
    text = bytes(value).lstrip()
    if text[:1] == b"[":
        for at, item in enumerate(decode_list(text)):
            yield from _unknown(item, f"{path}[{at}]", struct)
    elif text[:1] == b"{":
        names = _names(struct)
        where = f"{path}[0]" if path.rpartition(".")[2] in _LISTS else path
        for name, field in decode_object(text).items():
            camel, message = names.get(name, ("", None))
            if message is not None:
                yield from _unknown(field, f"{where}.{camel}", message)
            elif not camel and struct not in _OPEN:
                yield Unknown(f"{where}.{name}", field)
