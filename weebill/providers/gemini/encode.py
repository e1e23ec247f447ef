"""Requests in Google's generateContent format.

Two generations of models differ in what they take: up to 2.5 thinking is measured in tokens, signatures are not asked
for and media cannot be inside a tool's result; from 3 on thinking has levels and a call without its signature is an
error, but for a signature that Google documents for calls which other models made. Which is which, the catalogue's
traits say.

Left out because Google has no words for it and it does not change what is said: marks of prompt caching, which its
models do unasked, names of files and of a model's messages, citations in earlier answers and
other models' thinking.

Source: https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/thinking,
https://ai.google.dev/gemini-api/docs/thought-signatures and https://ai.google.dev/gemini-api/docs/function-calling
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from weebill.providers.base import Target, Unsupported
from weebill.providers.fit import Fit
from weebill.providers.gemini.contents import Contents, resolutions
from weebill.providers.gemini.schema import answer_schema, function_schema
from weebill.providers.gemini.thinking import is_first_generation, thinking_config
from weebill.providers.pairing import paired
from weebill.wire.conversation import Conversation, Json, Maker, ToolChoice
from weebill.wire.conversation import Tool as CanonicalTool
from weebill.wire.errors import UNREADABLE
from weebill.wire.gemini import Content, Part, unset
from weebill.wire.gemini_parts import Inexpressible
from weebill.wire.gemini_request import (
    FunctionCallingConfig,
    FunctionDeclaration,
    GenerateContentRequest,
    GenerationConfig,
    PrebuiltVoice,
    SpeechConfig,
    Tool,
    ToolConfig,
    VoiceConfig,
)
from weebill.wire.json_values import decode_object

SUPPORTED: Final = frozenset({
    "turns", "tools", "tool_choice", "output", "max_tokens", "temperature", "top_p", "top_k", "presence_penalty",
    "frequency_penalty", "stop", "seed", "n", "logprobs", "top_logprobs", "reasoning", "modalities", "audio", "hints",
    "extra",
})  # fmt: skip
EXTRA: Final = frozenset({"safetySettings", "cachedContent", "continuationToken", "modelArmorConfig"})
"""The entries of `extra` that go where they came from; so do those at a path in one of the messages in NESTED."""
NESTED: Final = frozenset({"generationConfig", "toolConfig"})
_TOOLS: Final = "tools"
_MAX_STEPS: Final = 8

_encode: Final = msgspec.json.encode

_SEED_LIMIT: Final = 2**31
_STOP_LIMIT: Final = 5
_MODALITIES: Final = {"text": "TEXT", "image": "IMAGE", "audio": "AUDIO"}
_NOTHING: Final = Part(text=" ")
"""The text of a message that must not be empty, and is."""


def encode_request(conversation: Conversation, target: Target, fit: Fit, hints: frozenset[str], origin: Maker) -> bytes:
    """The body. `hints` are those that this upstream knows, `origin` what its own signatures are marked with.

    Raises Unsupported.
    """
    resolution, each = resolutions(conversation.turns)
    try:
        contents = Contents(is_first_generation(target.traits), each, origin, fit)
        contents.write(paired(conversation.turns))
    except Inexpressible as error:
        raise Unsupported("turns", str(error)) from error
    system, said = contents.system, contents.contents
    if not said:
        system, said = [], [Content(role="user", parts=[*system] or [_NOTHING])]
    body = GenerateContentRequest(
        contents=[*said],
        system_instruction=Content(parts=[*system]) if system else None,
        tools=_tools(conversation.tools),
        tool_config=_tool_config(conversation.tool_choice, conversation.tools, fit),
        generation_config=_generation_config(conversation, target, fit, resolution),
    )
    encoded = _encode(body)
    further: Json = {}
    for name, raw in conversation.hints.items():
        if name in hints:
            further[name] = raw
    fit.hints(conversation.hints, hints)
    if not further and not conversation.extra:
        return encoded
    return _encode(_with_extra(decode_object(encoded) | further, conversation.extra, fit))


def _with_extra(body: Json, extra: Json, fit: Fit) -> Json:
    """`body` with the fields that only this API has."""
    tools: list[Json] = []
    for name, raw in extra.items():
        message, *path = name.split(".", _MAX_STEPS)
        if name in EXTRA:
            body[name] = raw
        elif message == _TOOLS and len(path) == 1:
            tools.append({path[0]: raw})
        elif message in NESTED and path and all(path) and "[" not in name:
            body[message] = _put(body.get(message), path, raw)
        else:
            fit.unsupported(name, f"'{name}'", raw)
    if tools:
        functions = msgspec.json.decode(body[_TOOLS], type=list[Raw]) if _TOOLS in body else []
        body[_TOOLS] = Raw(_encode([*functions, *tools]))
    return body


def _put(message: Raw | None, path: Sequence[str], value: Raw) -> Raw:
    """The message with `value` at `path`, in messages of its own."""
    name, *further = path
    try:
        fields = {} if message is None else decode_object(message)
    except UNREADABLE:
        fields = {}
    fields[name] = _put(fields.get(name), further, value) if further else value
    return Raw(_encode(fields))


def _tools(tools: Sequence[CanonicalTool]) -> list[Tool] | None:
    if not tools:
        return None
    return [Tool(function_declarations=[_function(tool) for tool in tools])]


def _function(tool: CanonicalTool) -> FunctionDeclaration:
    schema = None if tool.parameters is None else function_schema(tool.parameters)
    return FunctionDeclaration(name=tool.name, description=tool.description, parameters_json_schema=unset(schema))


def _tool_config(choice: ToolChoice | None, tools: Sequence[CanonicalTool], fit: Fit) -> ToolConfig | None:
    choice = choice or ToolChoice()
    if not tools:
        # Google refuses a configuration of what is not there.
        if choice.mode == "required":
            raise Unsupported("tool_choice", "a tool call without tools")
        return None
    if choice.parallel is False:
        # Whoever reads the answer passes over what is called besides the first.
        fit.hint("parallel_tool_calls", "being held to one tool call at a time")
    names = list(choice.names) or None
    if choice.mode == "none":
        config = FunctionCallingConfig(mode="NONE")
    elif choice.mode == "required":
        config = FunctionCallingConfig(mode="ANY", allowed_function_names=names)
    elif names or any(tool.strict for tool in tools):
        # May answer in words, but a call is of these functions and fits its schema.
        config = FunctionCallingConfig(mode="VALIDATED", allowed_function_names=names)
    else:
        return None
    return ToolConfig(function_calling_config=config)


def _generation_config(
    conversation: Conversation, target: Target, fit: Fit, resolution: str | None
) -> GenerationConfig | None:
    seed = conversation.seed
    if seed is not None and not -_SEED_LIMIT <= seed < _SEED_LIMIT:
        fit.hint("seed", "a seed of more than 32 bits")
        seed = None
    if len(conversation.stop) > _STOP_LIMIT:
        raise Unsupported("stop", f"more than {_STOP_LIMIT} stop sequences")
    output = conversation.output
    reasoning = conversation.reasoning
    config = GenerationConfig(
        temperature=conversation.temperature,
        top_p=conversation.top_p,
        top_k=conversation.top_k,
        max_output_tokens=conversation.max_tokens,
        stop_sequences=list(conversation.stop) or None,
        candidate_count=conversation.n,
        seed=seed,
        presence_penalty=conversation.presence_penalty,
        frequency_penalty=conversation.frequency_penalty,
        response_mime_type=None if output is None else "application/json",
        response_json_schema=UNSET
        if output is None or output.schema is None
        else answer_schema(output.schema, output.description),
        response_logprobs=conversation.logprobs,
        logprobs=conversation.top_logprobs if conversation.logprobs else None,
        thinking_config=None if reasoning is None else thinking_config(reasoning, target.traits),
        response_modalities=[_MODALITIES[name] for name in conversation.modalities] or None,
        speech_config=_speech(conversation),
        media_resolution=resolution,
    )
    return None if config == _NO_CONFIG else config


_NO_CONFIG: Final = GenerationConfig()


def _speech(conversation: Conversation) -> SpeechConfig | None:
    audio = conversation.audio
    if audio is None:
        return None
    if audio.format != "pcm16":
        raise Unsupported("audio", f"the audio format '{audio.format}'; it speaks pcm16")
    voice = PrebuiltVoice(voice_name=audio.voice)
    return SpeechConfig(voice_config=VoiceConfig(prebuilt_voice_config=voice))
