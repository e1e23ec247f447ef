"""Google's generateContent requests in canonical form.

Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, cast

import msgspec
from msgspec import UNSET, Raw

from weebill.apis.gemini.schema import json_schema
from weebill.wire.call import Call
from weebill.wire.conversation import (
    AudioOutput,
    Conversation,
    Document,
    Image,
    Json,
    OutputFormat,
    Reasoning,
    ReasoningOptions,
    Text,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.conversation import Part as CanonicalPart
from weebill.wire.conversation import Tool as CanonicalTool
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.gemini import Content, FunctionResponse, Part, given, parts_of
from weebill.wire.gemini_parts import Inexpressible, canonical_media, opened
from weebill.wire.gemini_request import (
    FunctionDeclaration,
    GeminiRequest,
    GenerateContentRequest,
    GenerationConfig,
    ThinkingConfig,
    ToolConfig,
)

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
"""What each field of Conversation is called here."""

# Fields that are read; of the rest, the hints say nothing about the answer and the others are only Google's.
_READ: Final = frozenset({"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "model"})
_HINTS: Final = frozenset({"labels", "serviceTier", "store"})
_KNOWN: Final = _READ | _HINTS
_CONFIG_READ: Final = frozenset(
    {field.encode_name for field in msgspec.structs.fields(GenerationConfig)} - {"mediaResolution"}
)
_SPEECH_READ: Final = frozenset({"voiceConfig"})
# How the arguments of a call are cut up in a stream changes nothing of what they are.
_TOOL_CONFIG_READ: Final = frozenset({"functionCallingConfig"})

_ROLES: Final = {"user": "user", None: "user", "": "user", "function": "user", "tool": "user", "model": "model"}
_REFUSED_PARTS: Final = (
    ("executable_code", "executableCode"),
    ("code_execution_result", "codeExecutionResult"),
    ("tool_call", "toolCall"),
    ("tool_response", "toolResponse"),
    ("video_metadata", "videoMetadata"),
    ("media_processing", "mediaProcessing"),
)
_DETAILS: Final = {
    "MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_MEDIUM": "auto", "MEDIA_RESOLUTION_HIGH": "high",
    "MEDIA_RESOLUTION_ULTRA_HIGH": "original",
}  # fmt: skip
_LEVELS: Final[dict[str, Literal["minimal", "low", "medium", "high", "xhigh"]]] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}
_MODALITIES: Final[dict[str, Literal["text", "image", "audio"]]] = {"TEXT": "text", "IMAGE": "image", "AUDIO": "audio"}

_decode_fields: Final = msgspec.json.Decoder(Json).decode
_decode_tools: Final = msgspec.json.Decoder(list[Json] | Json).decode


def read_request(call: Call) -> Conversation:
    """The request in canonical form. Raises ApiError 400 that names the field."""
    request, fields = cast(GeminiRequest, call.request).body, call.fields
    turns: list[Turn] = []
    if request.system_instruction is not None:
        turns.append(Turn("system", _system(request.system_instruction)))
    contents = request.contents if isinstance(request.contents, list) else [request.contents]
    turns += _Turns().read(contents)
    extra = {_camel(name): raw for name, raw in fields.items() if name not in _KNOWN and not _absent(raw)}
    hints = {name: fields[name] for name in _HINTS if name in fields}
    config = request.generation_config or _NO_CONFIG
    if request.generation_config is not None:
        extra |= _rest(fields["generationConfig"], "generationConfig", _CONFIG_READ)
    if request.tool_config is not None:
        extra |= _rest(fields["toolConfig"], "toolConfig", _TOOL_CONFIG_READ)
    output, further = _output(config)
    extra |= further
    audio, further = _speech(config, fields)
    return Conversation(
        turns=tuple(turns),
        tools=_tools(request, fields, extra),
        tool_choice=_tool_choice(request.tool_config),
        output=output,
        max_tokens=config.max_output_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=None if config.top_k is None else int(config.top_k),
        presence_penalty=config.presence_penalty,
        frequency_penalty=config.frequency_penalty,
        stop=tuple(config.stop_sequences or ()),
        seed=config.seed,
        n=config.candidate_count,
        logprobs=config.response_logprobs,
        top_logprobs=config.logprobs,
        reasoning=_reasoning(config.thinking_config),
        modalities=tuple([_MODALITIES[name] for name in config.response_modalities or () if name in _MODALITIES]),
        audio=audio,
        hints=hints,
        extra=extra | further,
    )


_NO_CONFIG: Final = GenerationConfig()


def _absent(raw: Raw) -> bool:
    return bytes(raw) == b"null"


def _rest(message: Raw, name: str, read: frozenset[str]) -> Json:
    """The fields of a message that have no counterpart, by where they are."""
    return {
        f"{name}.{_camel(field)}": raw
        for field, raw in _decode_fields(message).items()
        if field not in read and not _absent(raw)
    }


def _camel(name: str) -> str:
    """A name that may be in snake_case."""
    first, *rest = name.split("_")
    return first + "".join([word.capitalize() for word in rest])


def _system(content: Content) -> tuple[Text, ...]:
    texts = []
    for at, part in enumerate(parts_of(content)):
        if part.text is None:
            where = f"systemInstruction.parts[{at}]"
            raise _unsupported(where, "anything but text in the system instruction")
        texts.append(Text(part.text))
    return tuple(texts)


def _unsupported(param: str, what: str) -> ApiError:
    return ApiError(400, f"{what} is not supported for this model.", code="unsupported_parameter", param=param)


class _Turns:
    """Reads the contents. Calls without ids get ones that are the same each time the conversation is sent."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []
        """The id and name of each call that has not been answered yet."""

    def read(self, contents: Sequence[Content]) -> list[Turn]:
        """The turns. Raises ApiError 400."""
        turns: list[Turn] = []
        said: list[CanonicalPart] = []
        for at, content in enumerate(contents):
            where = f"contents[{at}]"
            role = _ROLES.get(content.role)
            if role is None:
                message = f"Invalid value for '{where}.role': Expected 'user' or 'model', got '{content.role}'."
                raise ApiError(400, message, code="invalid_value", param=f"{where}.role")
            if role == "model":
                # A client that was streamed to sends back each piece as a message.
                self._read_model(parts_of(content), at, said)
                continue
            if said:
                turns.append(Turn("assistant", tuple(said)))
                said = []
            turns += self._user_turns(parts_of(content), where)
        if said:
            turns.append(Turn("assistant", tuple(said)))
        return turns

    def _user_turns(self, parts: Sequence[Part], where: str) -> list[Turn]:
        """What tools gave and what the user says are turns of their own."""
        turns: list[Turn] = []
        said: list[CanonicalPart] = []
        results: list[CanonicalPart] = []
        for at, part in enumerate(parts):
            if part.function_response is not None:
                if said:
                    turns.append(Turn("user", tuple(said)))
                    said = []
                results.append(self._result(part.function_response, f"{where}.parts[{at}].functionResponse"))
                continue
            if results:
                turns.append(Turn("tool", tuple(results)))
                results = []
            said.append(Text(part.text) if part.text is not None else _media(part, f"{where}.parts[{at}]"))
        if results:
            turns.append(Turn("tool", tuple(results)))
        if said:
            turns.append(Turn("user", tuple(said)))
        return turns

    def _read_model(self, parts: Sequence[Part], of: int, said: list[CanonicalPart]) -> None:
        """Append a model's parts from the content of that index; texts that a stream has cut up are put together."""
        for at, part in enumerate(parts):
            signature = part.thought_signature
            last = said[-1] if said else None
            if part.thought:
                text = part.text or ""
                thought = Reasoning(text, origin="gemini") if signature is None else opened(signature, text)
                if isinstance(last, Reasoning) and last.text and last.signature is None and last.encrypted is None:
                    said[-1] = msgspec.structs.replace(thought, text=last.text + text)
                else:
                    said.append(thought)
                continue
            if part.function_call is not None:
                call = part.function_call
                call_id = call.id or f"call_{of}_{at}"
                self._open.append((call_id, call.name))
                held = None if signature is None else opened(signature)
                args = given(call.args)
                arguments = "{}" if args is None else bytes(args).decode()
                if held is None:
                    said.append(ToolUse(call_id, call.name, arguments))
                else:
                    said.append(ToolUse(call_id, call.name, arguments, held.signature, held.origin))
                continue
            if part.text is None:
                if signature is None or part.inline_data is not None or part.file_data is not None:
                    said.append(_media(part, f"contents[{of}].parts[{at}]"))
            elif isinstance(last, Text):
                said[-1] = Text(last.text + part.text)
            elif part.text:
                said.append(Text(part.text))
            if signature is not None:
                said.append(opened(signature))

    def _result(self, response: FunctionResponse, where: str) -> ToolResult:
        text, is_error = _given(given(response.response))
        content: list[Text | Image | Document] = [Text(text)] if text or not response.parts else []
        for at, piece in enumerate(response.parts or ()):
            media = _media(Part(inline_data=piece.inline_data, file_data=piece.file_data), f"{where}.parts[{at}]")
            if not isinstance(media, Image | Document):
                raise _unsupported(f"{where}.parts[{at}]", "Sound in what a function gave")
            content.append(media)
        return ToolResult(self._call_id(response, where), tuple(content), response.name, is_error)

    def _call_id(self, response: FunctionResponse, where: str) -> str:
        """Which call it answers: that of the id, else the first of the name that has no answer yet."""
        matching = [call for call in self._open if call[0] == response.id]
        matching = matching or [call for call in self._open if call[1] == response.name]
        if matching:
            self._open.remove(matching[0])
            return matching[0][0]
        if response.id is None:
            message = f"There is no functionCall of '{response.name}' that this functionResponse could answer."
            raise ApiError(400, message, code="invalid_value", param=where)
        return response.id


def _given(response: Raw | None) -> tuple[str, bool]:
    """What a function gave, as text, and whether that is an error."""
    if response is None:
        return "", False
    try:
        fields = _decode_fields(response)
    except UNREADABLE:
        return bytes(response).decode(), False
    if len(fields) == 1:
        [(name, raw)] = fields.items()
        if name in ("output", "result", "error"):
            said = bytes(raw)
            text = msgspec.json.decode(said, type=str) if said.startswith(b'"') else said.decode()
            return text, name == "error"
    return bytes(response).decode(), False


def _media(part: Part, where: str) -> CanonicalPart:
    for field, name in _REFUSED_PARTS:
        if getattr(part, field) not in (None, UNSET):
            raise _unsupported(f"{where}.{name}", f"'{name}'")
    try:
        media = canonical_media(part)
    except Inexpressible as error:
        raise _unsupported(where, f"{error}".capitalize()) from error
    if part.media_resolution is not None and isinstance(media, Image):
        return msgspec.structs.replace(media, detail=_DETAILS.get(part.media_resolution.level or ""))
    return media


def _tools(request: GenerateContentRequest, fields: Json, extra: Json) -> tuple[CanonicalTool, ...]:
    """The functions; Google's own tools go to `extra`."""
    if request.tools is None:
        return ()
    decoded = _decode_tools(fields["tools"])
    for tool in decoded if isinstance(decoded, list) else [decoded]:
        for name, raw in tool.items():
            if name != "functionDeclarations" and not _absent(raw):
                extra[f"tools.{_camel(name)}"] = raw
    tools = request.tools if isinstance(request.tools, list) else [request.tools]
    return tuple(
        [
            CanonicalTool(
                function.name, _description(function), _parameters(function, f"tools[{at}].functionDeclarations[{of}]")
            )
            for at, tool in enumerate(tools)
            for of, function in enumerate(tool.function_declarations or ())
        ]
    )


def _description(function: FunctionDeclaration) -> str | None:
    """What the function does; what it gives has no other place than these words."""
    returned = given(function.response_json_schema) or given(function.response)
    if returned is None:
        return function.description
    return f"{function.description or ''}\n\nReturns JSON of this schema: {bytes(returned).decode()}".lstrip()


def _parameters(function: FunctionDeclaration, where: str) -> Raw | None:
    parameters = given(function.parameters)
    if parameters is None:
        return given(function.parameters_json_schema)
    return json_schema(parameters, f"{where}.parameters")


def _tool_choice(config: ToolConfig | None) -> ToolChoice | None:
    calling = None if config is None else config.function_calling_config
    if calling is None or calling.mode in (None, "MODE_UNSPECIFIED"):
        return None
    names = tuple(calling.allowed_function_names or ())
    if calling.mode == "ANY":
        return ToolChoice("required", names)
    if calling.mode == "NONE":
        return ToolChoice("none")
    return ToolChoice("auto", names)


def _output(config: GenerationConfig) -> tuple[OutputFormat | None, Json]:
    """The format of the answer, and what of it only Google has."""
    kind, schema = config.response_mime_type, given(config.response_schema)
    if kind is None or kind == "text/plain":
        return None, {}
    if kind != "application/json":
        further = {"generationConfig.responseMimeType": Raw(msgspec.json.encode(kind))}
        return None, further if schema is None else further | {"generationConfig.responseSchema": schema}
    if schema is not None:
        return OutputFormat("json_schema", json_schema(schema, "generationConfig.responseSchema")), {}
    schema = given(config.response_json_schema)
    return (OutputFormat("json_object") if schema is None else OutputFormat("json_schema", schema)), {}


def _reasoning(config: ThinkingConfig | None) -> ReasoningOptions | None:
    if config is None:
        return None
    budget = config.thinking_budget
    return ReasoningOptions(
        enabled=None if budget is None else budget != 0,
        effort=_LEVELS.get(config.thinking_level or ""),
        budget_tokens=budget if budget is not None and budget > 0 else None,
        include=bool(config.include_thoughts),
    )


def _speech(config: GenerationConfig, fields: Json) -> tuple[AudioOutput | None, Json]:
    """The voice, and what of speech only Google has."""
    speech = config.speech_config
    if speech is None:
        return None, {}
    whole = _decode_fields(fields["generationConfig"])["speechConfig"]
    config_of_voice = speech.voice_config
    voice = None if config_of_voice is None else config_of_voice.prebuilt_voice_config
    if _rest(whole, "", _SPEECH_READ) or voice is None or voice.voice_name is None:
        return None, {"generationConfig.speechConfig": whole}
    return AudioOutput(voice.voice_name, "pcm16"), {}
