"""Google's generateContent requests in canonical form.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final, Literal, cast

import msgspec
from msgspec import Raw

from weebill.apis.gemini.contents import Turns, read_system
from weebill.apis.gemini.schema import json_schema
from weebill.wire.accumulate import MAX_NAMED
from weebill.wire.call import Call
from weebill.wire.conversation import (
    AudioOutput,
    Conversation,
    Json,
    OutputFormat,
    ToolChoice,
    Turn,
)
from weebill.wire.conversation import Tool as CanonicalTool
from weebill.wire.gemini import given
from weebill.wire.gemini_request import (
    FunctionDeclaration,
    GeminiRequest,
    GenerateContentRequest,
    GenerationConfig,
    ThinkingConfig,
    ToolConfig,
    listed,
    unknown_members,
)
from weebill.wire.idle import asks_nothing
from weebill.wire.json_values import decode_object

FIELDS: Final = {
    "turns": "contents",
    "tools": "tools",
    "tool_choice": "toolConfig.functionCallingConfig",
    "output": "generationConfig.responseJsonSchema",
    "max_tokens": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "n": "generationConfig.candidateCount",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "reasoning": "generationConfig.thinkingConfig",
    "modalities": "generationConfig.responseModalities",
    "audio": "generationConfig.speechConfig",
}
"""The name that each field of Conversation has here."""

# Fields that are read; of the rest, the hints say nothing about the answer and the others are only Google's.
_READ: Final = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model"})
_HINTS: Final = frozenset({"labels", "serviceTier", "store"})
_KNOWN: Final = _READ | _HINTS
_CONFIG_READ: Final = frozenset(
    {field.encode_name for field in msgspec.structs.fields(GenerationConfig)} - {"mediaResolution"}
)
_THINKING_READ: Final = frozenset(field.encode_name for field in msgspec.structs.fields(ThinkingConfig))
_SPEECH_READ: Final = frozenset({"voiceConfig"})
_TOOL_CONFIG_READ: Final = frozenset({"functionCallingConfig"})
_CALLING_READ: Final = frozenset({"mode", "allowedFunctionNames"})
_MODALITIES: Final[dict[str, Literal["text", "image", "audio"]]] = {"TEXT": "text", "IMAGE": "image", "AUDIO": "audio"}
_MODES: Final = frozenset({"AUTO", "VALIDATED", "ANY", "NONE"})

_decode_tools: Final = msgspec.json.Decoder(list[Json] | Json).decode
_encode: Final = msgspec.json.encode


def read_request(call: Call) -> Conversation:
    """The request in canonical form. Raises ApiError 400 that names the field."""
    request, fields = cast(GeminiRequest, call.request).body, call.fields
    extra = {_camel(name): raw for name, raw in fields.items() if name not in _KNOWN and not asks_nothing(name, raw)}
    if type(request) is GenerateContentRequest:
        # Not an exact one: there may be something in it that nobody knows.
        unknown = islice(unknown_members(fields), MAX_NAMED)
        extra |= {_camel_path(path): raw for path, raw in unknown if not asks_nothing(path, raw)}
    turns: list[Turn] = []
    if request.system_instruction is not None:
        turns += read_system(request.system_instruction, extra)
    turns += Turns(extra).read(listed(request.contents))
    hints = {name: fields[name] for name in _HINTS if name in fields and not asks_nothing(name, fields[name])}
    config = request.generation_config or _NO_CONFIG
    if request.generation_config is not None:
        extra |= _config_rest(config, fields["generationConfig"])
    if request.tool_config is not None:
        extra |= _tool_config_rest(request.tool_config, fields["toolConfig"])
    tools = _tools(request, fields, extra)
    output, further = _output(config)
    extra |= further
    audio, further = _speech(config, fields)
    return Conversation(
        turns=tuple(turns),
        tools=tools,
        tool_choice=_tool_choice(request.tool_config, tools),
        output=output,
        max_tokens=_positive(config.max_output_tokens),
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=_positive(config.top_k),
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        stop=tuple([text for text in listed(config.stop_sequences) if text]),
        seed=config.seed,
        n=_positive(config.candidate_count),
        logprobs=config.response_logprobs,
        top_logprobs=config.logprobs if config.response_logprobs else None,
        reasoning=None if config.thinking_config is None else config.thinking_config.reasoning(),
        modalities=tuple([_MODALITIES[name] for name in _upper(config.response_modalities) if name in _MODALITIES]),
        audio=audio,
        hints=hints,
        extra=extra | further,
    )


_NO_CONFIG: Final = GenerationConfig()


def _positive(value: float | None) -> int | None:
    """A count, of which nought is Google's for "not said"."""
    return None if value is None or value <= 0 else int(value)


def _upper(values: list[str] | str | None) -> list[str]:
    """Names of enums; Google's parser takes them in any case."""
    return [value.upper() for value in listed(values)]


def _rest(message: Raw, name: str, read: frozenset[str]) -> Json:
    """The fields of a message that have no counterpart, by where they are."""
    return {
        f"{name}.{_camel(field)}": raw
        for field, raw in decode_object(message).items()
        if field not in read and not asks_nothing(field, raw)
    }


def _config_rest(config: GenerationConfig, raw: Raw) -> Json:
    """The settings that have no counterpart."""
    rest = _rest(raw, "generationConfig", _CONFIG_READ)
    thinking = config.thinking_config
    if thinking is not None:
        inner = decode_object(raw)["thinkingConfig"]
        read = _THINKING_READ if thinking.known_level else _THINKING_READ - {"thinkingLevel"}
        rest |= _rest(inner, "generationConfig.thinkingConfig", read)
    unknown = [name for name in _upper(config.response_modalities) if name not in _MODALITIES]
    if any(not name.endswith("_UNSPECIFIED") for name in unknown):
        rest["generationConfig.responseModalities"] = Raw(_encode(unknown))
    return rest


def _tool_config_rest(config: ToolConfig, raw: Raw) -> Json:
    """The settings of tools that have no counterpart."""
    rest = _rest(raw, "toolConfig", _TOOL_CONFIG_READ)
    calling = config.function_calling_config
    if calling is not None:
        inner = decode_object(raw)["functionCallingConfig"]
        read = _CALLING_READ if (calling.mode or "AUTO").upper() in _MODES else _CALLING_READ - {"mode"}
        rest |= _rest(inner, "toolConfig.functionCallingConfig", read)
    return rest


def _camel(name: str) -> str:
    """A name that may be in snake_case."""
    first, *rest = name.split("_")
    return first + "".join([word.capitalize() for word in rest])


def _camel_path(path: str) -> str:
    """A path whose last name may be in snake_case."""
    where, _, name = path.rpartition(".")
    return f"{where}.{_camel(name)}"


def _tools(request: GenerateContentRequest, fields: Json, extra: Json) -> tuple[CanonicalTool, ...]:
    """The functions; Google's own tools go to `extra`."""
    if request.tools is None:
        return ()
    decoded = _decode_tools(fields["tools"])
    for tool in decoded if isinstance(decoded, list) else [decoded]:
        for name, raw in tool.items():
            path = f"tools.{_camel(name)}"
            if name != "functionDeclarations" and not asks_nothing(path, raw):
                extra[path] = raw
    return tuple(
        [
            CanonicalTool(
                function.name, _description(function), _parameters(function, f"tools[{at}].functionDeclarations[{of}]")
            )
            for at, tool in enumerate(listed(request.tools))
            for of, function in enumerate(listed(tool.function_declarations))
        ]
    )


def _description(function: FunctionDeclaration) -> str | None:
    """The description of a function; its result's schema has no other place than these words."""
    returned = given(function.response_json_schema) or given(function.response)
    if returned is None:
        return function.description
    return f"{function.description or ''}\n\nReturns JSON of this schema: {bytes(returned).decode()}".lstrip()


def _parameters(function: FunctionDeclaration, where: str) -> Raw | None:
    parameters = given(function.parameters)
    if parameters is None or asks_nothing("parameters", parameters):
        schema = given(function.parameters_json_schema)
        return None if schema is None or asks_nothing("schema", schema) else schema
    return json_schema(parameters, f"{where}.parameters")


def _tool_choice(config: ToolConfig | None, tools: Sequence[CanonicalTool]) -> ToolChoice | None:
    calling = None if config is None else config.function_calling_config
    mode = "" if calling is None else (calling.mode or "").upper()
    if calling is None or mode not in _MODES or (not tools and mode != "ANY"):
        return None
    names = tuple(listed(calling.allowed_function_names))
    if mode == "ANY":
        return ToolChoice("required", names)
    return ToolChoice("none") if mode == "NONE" else ToolChoice("auto", names)


def _output(config: GenerationConfig) -> tuple[OutputFormat | None, Json]:
    """The format of the answer, and what of it only Google has."""
    kind = (config.response_mime_type or "").partition(";")[0].strip().lower()
    schema, json = given(config.response_schema), given(config.response_json_schema)
    schema = None if schema is None or asks_nothing("schema", schema) else schema
    json = None if json is None or asks_nothing("schema", json) else json
    if kind == "text/plain" or (not kind and schema is None and json is None):
        return None, {}
    if kind and kind != "application/json":
        further = {"generationConfig.responseMimeType": Raw(_encode(config.response_mime_type))}
        return None, further if schema is None else further | {"generationConfig.responseSchema": schema}
    if schema is not None:
        return OutputFormat("json_schema", json_schema(schema, "generationConfig.responseSchema")), {}
    return (OutputFormat("json_object") if json is None else OutputFormat("json_schema", json)), {}


def _speech(config: GenerationConfig, fields: Json) -> tuple[AudioOutput | None, Json]:
    """The voice, and what of speech only Google has."""
    speech = config.speech_config
    if speech is None:
        return None, {}
    whole = decode_object(fields["generationConfig"])["speechConfig"]
    if asks_nothing("speechConfig", whole):
        return None, {}
    config_of_voice = speech.voice_config
    voice = None if config_of_voice is None else config_of_voice.prebuilt_voice_config
    if _rest(whole, "", _SPEECH_READ) or voice is None or voice.voice_name is None:
        return None, {"generationConfig.speechConfig": whole}
    return AudioOutput(voice.voice_name, "pcm16"), {}
