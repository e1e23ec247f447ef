"""Requests in Google's generateContent format.

Two generations of models differ in what they take: up to 2.5 thinking is measured in tokens, signatures are not asked
for and media cannot be inside a tool's result; from 3 on thinking has levels and a call without its signature is an
error, but for a signature that Google documents for calls which other models made.

A user's name goes before the text as "name: "; there is no field for it. System messages are the system instruction,
wherever they stood; where there is nothing else, they are what the user says.

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
from msgspec.structs import replace

from weebill.providers.base import Target, Unsupported
from weebill.wire.conversation import (
    Conversation,
    Document,
    Image,
    Json,
    OutputFormat,
    ReasoningOptions,
    Text,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.conversation import Part as CanonicalPart
from weebill.wire.conversation import Tool as CanonicalTool
from weebill.wire.gemini import Content, FunctionResponse, FunctionResponsePart, MediaResolution, Part, unset
from weebill.wire.gemini_parts import Inexpressible, media_part, model_parts, object_of
from weebill.wire.gemini_request import (
    FunctionCallingConfig,
    FunctionDeclaration,
    GenerateContentRequest,
    GenerationConfig,
    Modality,
    PrebuiltVoice,
    SpeechConfig,
    ThinkingConfig,
    ThinkingLevel,
    Tool,
    ToolConfig,
    VoiceConfig,
)

SUPPORTED: Final = frozenset({
    "turns", "tools", "tool_choice", "output", "max_tokens", "temperature", "top_p", "top_k", "presence_penalty",
    "frequency_penalty", "stop", "seed", "n", "logprobs", "top_logprobs", "reasoning", "modalities", "audio", "extra",
})  # fmt: skip
EXTRA: Final = frozenset({"safetySettings", "cachedContent", "continuationToken", "modelArmorConfig"})
"""The entries of `extra` that go where they came from; so do those under the names of the messages in NESTED."""
NESTED: Final = frozenset({"generationConfig", "toolConfig", "tools"})

_encode: Final = msgspec.json.encode
_decode_fields: Final = msgspec.json.Decoder(Json).decode

UNSIGNED_CALL: Final = "skip_thought_signature_validator"
"""The signature that Google documents for calls that other models made."""
_SEED_LIMIT: Final = 2**31
_STOP_LIMIT: Final = 5
_FIRST_GENERATIONS: Final = ("gemini-1", "gemini-2")
# As Google's own OpenAI-compatible endpoint reads `reasoning_effort`; beyond "high" it knows none.
# Source: https://ai.google.dev/gemini-api/docs/openai#thinking
_BUDGETS: Final = {
    "none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576,
}  # fmt: skip
_LEVELS: Final[dict[str, ThinkingLevel]] = {
    "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH", "max": "XHIGH",
}  # fmt: skip
_MODALITIES: Final[dict[str, Modality]] = {"text": "TEXT", "image": "IMAGE", "audio": "AUDIO"}
_RESOLUTIONS: Final = {
    "low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH", "original": "MEDIA_RESOLUTION_ULTRA_HIGH",
}  # fmt: skip


def is_first_generation(model: str) -> bool:
    """Whether a model is older than Gemini 3, and takes calls without signatures."""
    return model.rpartition("/")[2].startswith(_FIRST_GENERATIONS)


def encode_request(conversation: Conversation, target: Target, hints: frozenset[str]) -> bytes:
    """The body. `hints` are the hints that this upstream knows. Raises Unsupported."""
    first_generations = is_first_generation(target.model)
    resolution, each = _resolutions(conversation.turns)
    try:
        system, contents = _Contents(first_generations, each).write(conversation.turns)
    except Inexpressible as error:
        raise Unsupported("turns", str(error)) from error
    if not contents:
        system, contents = [], [Content(role="user", parts=system)]
    body = GenerateContentRequest(
        contents=contents,
        system_instruction=Content(parts=system) if system else None,
        tools=_tools(conversation.tools),
        tool_config=_tool_config(conversation.tool_choice, conversation.tools),
        generation_config=_generation_config(conversation, first_generations, resolution),
    )
    encoded = _encode(body)
    further = {name: raw for name, raw in conversation.hints.items() if name in hints}
    if not further and not conversation.extra:
        return encoded
    return _encode(_with_extra(_decode_fields(encoded) | further, conversation.extra))


def _with_extra(body: Json, extra: Json) -> Json:
    """`body` with the fields that only this API has."""
    tools: list[Json] = []
    for name, raw in extra.items():
        message, _, field = name.partition(".")
        if name in EXTRA:
            body[name] = raw
        elif message not in NESTED or not field:
            raise Unsupported(name, f"'{name}'")
        elif message == "tools":
            tools.append({field: raw})
        else:
            fields = _decode_fields(body[message]) if message in body else {}
            body[message] = Raw(_encode({**fields, field: raw}))
    if tools:
        functions = msgspec.json.decode(body["tools"], type=list[Raw]) if "tools" in body else []
        body["tools"] = Raw(_encode([*functions, *tools]))
    return body


class _Contents:
    """Writes the turns, and keeps what later ones need of earlier ones: the names of the tools called."""

    def __init__(self, first_generations: bool, resolution_each: bool) -> None:
        self._first_generations = first_generations
        self._resolution_each = resolution_each
        self._names: dict[str, str] = {}

    def write(self, turns: Sequence[Turn]) -> tuple[list[Part], list[Content]]:
        """The system instruction's parts, and the contents. Raises Unsupported and Inexpressible."""
        system: list[Part] = []
        contents: list[Content] = []
        responses: list[Part] | None = None
        for turn in turns:
            if turn.role == "tool":
                # All that was called at once is answered in one content.
                if responses is None:
                    responses = []
                    contents.append(Content(role="user", parts=responses))
                self._write_results(turn.parts, responses)
                continue
            if turn.role == "user":
                parts, role = self._user_parts(turn), "user"
            elif turn.role == "assistant":
                parts, role = self._model_parts(turn.parts), "model"
            else:
                system += [_system_part(part) for part in turn.parts]
                continue
            if parts:
                responses = None
                contents.append(Content(role=role, parts=parts))
        return system, contents

    def _model_parts(self, parts: Sequence[CanonicalPart]) -> list[Part]:
        written = model_parts(parts, to_client=False)
        first_call = True
        for at, part in enumerate(written):
            call = part.function_call
            if call is None:
                continue
            if call.id is not None:
                self._names[call.id] = call.name
            if first_call and part.thought_signature is None and not self._first_generations:
                written[at] = replace(part, thought_signature=UNSIGNED_CALL)
            first_call = False
        return written

    def _user_parts(self, turn: Turn) -> list[Part]:
        parts = [self._user_part(part) for part in turn.parts]
        if turn.name:
            said = parts[0].text if parts else None
            named = Part(text=f"{turn.name}:" if said is None else f"{turn.name}: {said}")
            parts[: 0 if said is None else 1] = [named]
        return parts

    def _user_part(self, part: CanonicalPart) -> Part:
        if isinstance(part, Text):
            return Part(text=part.text)
        if isinstance(part, ToolUse):
            raise Inexpressible("tool calls that the user makes")
        if isinstance(part, Image):
            written = media_part(part)
            level = _RESOLUTIONS.get(part.detail or "") if self._resolution_each else None
            return written if level is None else replace(written, media_resolution=MediaResolution(level=level))
        if isinstance(part, Document) and part.cite:
            raise Inexpressible("citations of a document in the prompt")
        [written] = model_parts((part,), to_client=False)
        return written

    def _write_results(self, parts: Sequence[CanonicalPart], responses: list[Part]) -> None:
        for part in parts:
            if not isinstance(part, ToolResult):
                raise Inexpressible("anything but results in what a tool says")
            name = part.name or self._names.get(part.call_id)
            if name is None:
                raise Inexpressible(f"a tool result without the call that it answers ('{part.call_id}')")
            text = "\n".join([piece.text for piece in part.content if isinstance(piece, Text)])
            media = [media_part(piece) for piece in part.content if not isinstance(piece, Text)]
            inside = media and not self._first_generations
            response = FunctionResponse(
                name=name,
                id=part.call_id or None,
                response=_response(text, part.is_error),
                parts=[FunctionResponsePart(inline_data=m.inline_data, file_data=m.file_data) for m in media]
                if inside
                else None,
            )
            # A content holds as many responses as there were calls, in their order; what else it holds follows.
            at = next((at for at, other in enumerate(responses) if other.function_response is None), len(responses))
            responses.insert(at, Part(function_response=response))
            if not inside:
                responses += media


def _system_part(part: CanonicalPart) -> Part:
    if not isinstance(part, Text):
        raise Inexpressible("anything but text in a system message")
    return Part(text=part.text)


def _response(text: str, is_error: bool) -> Raw:
    """What a tool gave, as a JSON object: its own if it is one, and one that Google would not read otherwise."""
    if is_error:
        return Raw(_encode({"error": text}))
    if text.startswith("{"):
        whole = object_of(text)
        if whole is not None and not {"output", "error"} & _decode_fields(whole).keys():
            return whole
    return Raw(_encode({"output": text}))


def _resolutions(turns: Sequence[Turn]) -> tuple[str | None, bool]:
    """How closely images are looked at: all alike, which all models can, or each in its own way."""
    details = {
        part.detail or "auto" for turn in turns if turn.role == "user" for part in turn.parts if isinstance(part, Image)
    }
    if details in ({"low"}, {"high"}):
        return _RESOLUTIONS[details.pop()], False
    return None, not details <= {"auto"}


def _tools(tools: Sequence[CanonicalTool]) -> list[Tool] | None:
    if not tools:
        return None
    return [
        Tool(
            function_declarations=[
                FunctionDeclaration(
                    name=tool.name, description=tool.description, parameters_json_schema=unset(tool.parameters)
                )
                for tool in tools
            ]
        )
    ]


def _tool_config(choice: ToolChoice | None, tools: Sequence[CanonicalTool]) -> ToolConfig | None:
    choice = choice or ToolChoice()
    if choice.parallel is False:
        raise Unsupported("tool_choice", "being held to one tool call at a time")
    if not tools:
        # Google refuses a configuration of what is not there.
        if choice.mode == "required":
            raise Unsupported("tool_choice", "a tool call without tools")
        return None
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
    conversation: Conversation, first_generations: bool, resolution: str | None
) -> GenerationConfig | None:
    if conversation.seed is not None and not -_SEED_LIMIT <= conversation.seed < _SEED_LIMIT:
        raise Unsupported("seed", "a seed of more than 32 bits")
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
        seed=conversation.seed,
        presence_penalty=conversation.presence_penalty,
        frequency_penalty=conversation.frequency_penalty,
        response_mime_type=None if output is None else "application/json",
        response_json_schema=UNSET if output is None else unset(_schema(output)),
        response_logprobs=conversation.logprobs,
        logprobs=conversation.top_logprobs if conversation.logprobs else None,
        thinking_config=None if reasoning is None else _thinking(reasoning, first_generations),
        response_modalities=[_MODALITIES[name] for name in conversation.modalities] or None,
        speech_config=_speech(conversation),
        media_resolution=resolution,
    )
    return None if config == _NO_CONFIG else config


_NO_CONFIG: Final = GenerationConfig()


def _schema(output: OutputFormat) -> Raw | None:
    if output.schema is None or output.description is None:
        return output.schema
    # There is no other place for what the format is for.
    return Raw(_encode({"description": output.description, **_decode_fields(output.schema)}))


def _thinking(reasoning: ReasoningOptions, first_generations: bool) -> ThinkingConfig | None:
    include = reasoning.include
    if include is None and (reasoning.summary is not None or reasoning.enabled):
        include = True
    budget, level = reasoning.budget_tokens, None
    if reasoning.enabled is False or reasoning.effort == "none":
        budget = 0
    elif budget is None and reasoning.effort is not None:
        if first_generations:
            budget = _BUDGETS[reasoning.effort]
        else:
            level = _LEVELS[reasoning.effort]
    elif budget is None and reasoning.enabled and first_generations:
        budget = -1
    if include is None and budget is None and level is None:
        return None
    return ThinkingConfig(include_thoughts=include, thinking_budget=budget, thinking_level=level)


def _speech(conversation: Conversation) -> SpeechConfig | None:
    audio = conversation.audio
    if audio is None:
        return None
    if audio.format != "pcm16":
        raise Unsupported("audio", f"the audio format '{audio.format}'; it speaks pcm16")
    voice = PrebuiltVoice(voice_name=audio.voice)
    return SpeechConfig(voice_config=VoiceConfig(prebuilt_voice_config=voice))
