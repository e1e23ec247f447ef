"""Requests in the format of Bedrock's Converse API.

Left out because Bedrock has no words for it and it does not change what is said: other models' citations and
thinking in earlier answers.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Raw

from weebill.providers.base import Target, Unsupported, UpstreamRequest
from weebill.providers.bedrock.models import JSON_TOOL, Model, effort, model_of
from weebill.wire.conversation import (
    Audio,
    CacheMark,
    Conversation,
    Document,
    Image,
    Json,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.errors import UNREADABLE

Block = dict[str, object]

FAMILY: Final = "bedrock"
# Fields without a counterpart, with the value that asks for nothing.
_NEUTRAL: Final[dict[str, object]] = {
    "n": 1, "logprobs": False, "top_logprobs": 0, "presence_penalty": 0, "frequency_penalty": 0,
    "repetition_penalty": 1, "min_p": 0, "logit_bias": {}, "modalities": ("text",),
}  # fmt: skip
SUPPORTED: Final = frozenset({
    "turns", "tools", "tool_choice", "output", "max_tokens", "temperature", "top_p", "top_k", "stop", "reasoning",
    "extra", *_NEUTRAL,
})  # fmt: skip
# Bedrock's own fields, for clients that know them.
_EXTRA: Final = frozenset({
    "guardrailConfig", "performanceConfig", "promptVariables", "requestMetadata", "serviceTier",
    "additionalModelResponseFieldPaths",
})  # fmt: skip
_MODEL_FIELDS: Final = "additionalModelRequestFields"

_IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_AUDIO: Final = frozenset({
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm",
})  # fmt: skip
_DOCUMENTS: Final = {
    "application/pdf": "pdf", "text/csv": "csv", "application/msword": "doc", "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html", "text/plain": "txt", "text/markdown": "md",
}  # fmt: skip
_DOCUMENT_FORMATS: Final = frozenset(_DOCUMENTS.values())
_NOT_IN_NAMES: Final = re.compile(r"[^0-9A-Za-z\-()\[\]]+")
_NAME_LIMIT: Final = 190
_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")

_NO_PARAMETERS: Final = Raw(b'{"type":"object","properties":{}}')
_ANY_OBJECT: Final = Raw(b'{"type":"object"}')
_encode: Final = msgspec.json.encode
_decode_object: Final = msgspec.json.Decoder(Json).decode


def encode_request(conversation: Conversation, target: Target, *, stream: bool) -> UpstreamRequest:
    """The request. Raises Unsupported."""
    for field, neutral in _NEUTRAL.items():
        value = getattr(conversation, field)
        if value is not None and value != neutral and value != ():
            raise Unsupported(field, f"the value {value} here")
    model = model_of(target.model)
    system, messages, called = _prompt(conversation.turns)
    if not messages:
        raise Unsupported("turns", "a conversation in which nobody but the system speaks")
    body: Block = {"messages": messages}
    if system:
        body["system"] = system
    thought = effort(conversation.reasoning, model, conversation.max_tokens, target)
    _check(conversation, model, thought.thinks)
    inference = _inference(conversation)
    if inference:
        body["inferenceConfig"] = inference
    output = conversation.output
    by_tool = output if output is not None and _takes_tool(output, model, thought.thinks) else None
    tools = _tool_config(conversation, model, by_tool, called)
    if tools is not None:
        body["toolConfig"] = tools
    shape: Block = {} if output is None or by_tool is not None else {"textFormat": _text_format(output)}
    if thought.effort is not None:
        shape["effort"] = thought.effort
    if shape:
        body["outputConfig"] = shape
    fields: Block = {} if thought.thinking is None else {"thinking": thought.thinking}
    if conversation.top_k is not None:
        fields["top_k"] = conversation.top_k
    if conversation.stop and model.anthropic:
        body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    _add_extra(conversation.extra, body, fields)
    if fields:
        body[_MODEL_FIELDS] = fields
    verb = "converse-stream" if stream else "converse"
    return UpstreamRequest(f"/model/{quote(target.model, safe='')}/{verb}".encode(), _encode(body))


def _add_extra(extra: Json, body: Block, fields: Block) -> None:
    for name, raw in extra.items():
        if name == _MODEL_FIELDS:
            fields |= _decode_object(raw)
        elif name in _EXTRA:
            body[name] = raw
        else:
            raise Unsupported(name, f"the field '{name}'")


def _check(conversation: Conversation, model: Model, thinks: bool) -> None:
    """Raises Unsupported for the values of single fields that Bedrock has nothing for."""
    temperature = conversation.temperature
    if temperature is not None and temperature > 1:
        raise Unsupported("temperature", "a temperature over 1")
    if thinks and temperature not in (None, 1):
        raise Unsupported("temperature", "a temperature other than 1 together with reasoning")
    if conversation.top_k is not None and (thinks or not model.anthropic):
        raise Unsupported("top_k", "this together with reasoning" if thinks else "'top_k' for this model")
    if thinks and conversation.tool_choice is not None and conversation.tool_choice.mode == "required":
        raise Unsupported("tool_choice", "forced calls together with reasoning")


def _inference(conversation: Conversation) -> Block:
    named = {
        "maxTokens": conversation.max_tokens,
        "temperature": conversation.temperature,
        "topP": conversation.top_p,
        "stopSequences": conversation.stop or None,
    }
    return {name: value for name, value in named.items() if value is not None}


# Turns


def _prompt(turns: Sequence[Turn]) -> tuple[list[Block], list[Block], bool]:
    """The system's blocks, the messages, and whether a tool has been called.

    Bedrock wants user and assistant by turns, so that what one of them says in several turns is put in one message.
    """
    system: list[Block] = []
    messages: list[Block] = []
    names: set[str] = set()
    content: list[Block] = []
    role, called = "", False
    for turn in turns:
        if turn.name is not None and turn.role != "tool":
            raise Unsupported("turns", "the name of a message's author")
        if turn.role in ("system", "developer"):
            for part in turn.parts:
                if not isinstance(part, Text):
                    raise Unsupported("turns", "anything but text in a system message")
                _write(part, system, names)
            continue
        said_by = "assistant" if turn.role == "assistant" else "user"
        written: list[Block] = []
        for part in turn.parts:
            _write(part, written, names)
            called = called or isinstance(part, ToolUse | ToolResult)
        if not written:
            continue
        if said_by == role:
            content += written
        else:
            role, content = said_by, written
            messages.append({"role": role, "content": content})
    return system, messages, called


def _write(part: Part, blocks: list[Block], names: set[str]) -> None:
    """Append what says `part`; `names` are those of the documents so far, which must differ."""
    cache: CacheMark | None = None
    if isinstance(part, Text):
        if not part.text or part.text.isspace():
            return  # Bedrock refuses blank texts.
        blocks.append(_text(part))
        cache = part.cache
    elif isinstance(part, ToolUse):
        blocks.append({"toolUse": {"toolUseId": _id(part.id), "name": part.name, "input": _arguments(part.arguments)}})
        cache = part.cache
    elif isinstance(part, ToolResult):
        blocks.append(_tool_result(part, names))
        cache = part.cache or next((piece.cache for piece in reversed(part.content) if piece.cache), None)
    elif isinstance(part, Image):
        blocks.append(_image(part))
        cache = part.cache
    elif isinstance(part, Document):
        blocks.append(_document(part, names))
        cache = part.cache
    elif isinstance(part, Reasoning):
        if part.origin == FAMILY:
            _write_reasoning(part, blocks)
    elif isinstance(part, Refusal):
        blocks.append({"text": part.text})
    else:
        blocks.append(_audio(part))
    if cache is not None:
        blocks.append(_cache_point(cache))


def _text(part: Text) -> Block:
    ours = [citation.raw for citation in part.citations if citation.origin == FAMILY and citation.raw is not None]
    if ours:
        return {"citationsContent": {"content": [{"text": part.text}], "citations": ours}}
    return {"text": part.text}


def _write_reasoning(part: Reasoning, blocks: list[Block]) -> None:
    # Without its signature the text is for people: models that do not sign take none back.
    if part.encrypted is not None:
        blocks.append({"reasoningContent": {"redactedContent": part.encrypted}})
    elif part.signature is not None:
        blocks.append({"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}})


def _image(part: Image) -> Block:
    if part.data is None:
        raise Unsupported("turns", "images by URL or file id; only those in the request")
    form = _IMAGES.get(part.media_type or "")
    if form is None:
        raise Unsupported("turns", f"images of type '{part.media_type}'")
    return {"image": {"format": form, "source": {"bytes": part.data}}}


def _audio(part: Audio) -> Block:
    if part.format not in _AUDIO:
        raise Unsupported("turns", f"audio in the format '{part.format}'")
    return {"audio": {"format": part.format, "source": {"bytes": part.data}}}


def _document(part: Document, names: set[str]) -> Block:
    suffix = (part.name or "").rpartition(".")[2].lower()
    if part.text is not None:
        form, source = "txt", {"text": part.text}
    elif part.data is not None:
        form = _DOCUMENTS.get(part.media_type or "", suffix)
        source = {"bytes": part.data}
        if form not in _DOCUMENT_FORMATS:
            raise Unsupported("turns", f"documents of type '{part.media_type}'")
    else:
        raise Unsupported("turns", "documents by URL or file id; only those in the request")
    document: Block = {"format": form, "name": _document_name(part.name, names), "source": source}
    if part.cite:
        document["citations"] = {"enabled": True}
    return {"document": document}


def _document_name(given: str | None, names: set[str]) -> str:
    """A name that Bedrock takes, and that no other document of the request has."""
    plain = _NOT_IN_NAMES.sub(" ", given or "").strip()[:_NAME_LIMIT] or "document"
    name, count = plain, 1
    while name in names:
        count += 1
        name = f"{plain} ({count})"
    names.add(name)
    return name


def _tool_result(part: ToolResult, names: set[str]) -> Block:
    content: list[Block] = []
    for piece in part.content:
        if isinstance(piece, Text):
            content.append({"text": piece.text})
        elif isinstance(piece, Image):
            content.append(_image(piece))
        else:
            content.append(_document(piece, names))
    result: Block = {"toolUseId": _id(part.call_id), "content": content}
    if part.is_error:
        result["status"] = "error"
    return {"toolResult": result}


def _id(given: str) -> str:
    """A call's id, or one made of it where Bedrock would refuse it; alike for the call and its result."""
    if _ID.fullmatch(given):
        return given
    return f"call_{hashlib.blake2b(given.encode(), digest_size=16).hexdigest()}"


def _arguments(text: str) -> Raw:
    try:
        _decode_object(text)
    except UNREADABLE as error:
        raise Unsupported("turns", "tool calls with arguments that are not a JSON object") from error
    return Raw(text.encode())


def _cache_point(mark: CacheMark) -> Block:
    return {"cachePoint": {"type": "default"} if mark == "5m" else {"type": "default", "ttl": mark}}


# Tools and output


def _takes_tool(output: OutputFormat, model: Model, thinks: bool) -> bool:
    """Whether the output's schema goes to `model` as that of a tool it must call."""
    if model.strict and output.schema is not None:
        return False
    if not model.forced_tool:
        raise Unsupported("output", "JSON without a schema for this model")
    if thinks:
        raise Unsupported("output", "this output format together with reasoning for this model")
    return True


def _text_format(output: OutputFormat) -> Block:
    schema: Block = {"schema": bytes(output.schema or _ANY_OBJECT).decode()}
    if output.name:
        schema["name"] = output.name
    if output.description:
        schema["description"] = output.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}


def _tool_config(conversation: Conversation, model: Model, by_tool: OutputFormat | None, called: bool) -> Block | None:
    choice, tools = conversation.tool_choice, conversation.tools
    mode = choice.mode if choice is not None else "auto"
    names = choice.names if choice is not None else ()
    if choice is not None and choice.parallel is False and tools:
        raise Unsupported("tool_choice", "being held to one tool call at a time")
    if mode == "required":
        if not tools:
            raise Unsupported("tool_choice", "a tool call without tools")
        by_tool = None  # What is not said needs no format.
    if names:
        tools = tuple([tool for tool in tools if tool.name in names])
    if by_tool is None and mode == "none":
        tools = ()
    if by_tool is None and not tools:
        if called:
            field = "tool_choice" if conversation.tools else "tools"
            raise Unsupported(field, "a request without tools once tools have been called")
        return None
    entries: list[Block] = []
    for tool in tools:
        entries.append({"toolSpec": _tool_spec(tool, model)})
        if tool.cache is not None:
            entries.append(_cache_point(tool.cache))
    config: Block = {"tools": entries}
    if by_tool is not None:
        entries.append({"toolSpec": _output_tool(by_tool)})
        # With tools of the client's, the model answers by calling any of them.
        config["toolChoice"] = {"any": {}} if tools and mode == "auto" else {"tool": {"name": JSON_TOOL}}
    elif mode == "required":
        config["toolChoice"] = {"tool": {"name": names[0]}} if len(names) == 1 else {"any": {}}
    return config


def _tool_spec(tool: Tool, model: Model) -> Block:
    if tool.name == JSON_TOOL:
        raise Unsupported("tools", f"a tool of the name '{JSON_TOOL}', which Weebill uses itself")
    spec: Block = {"name": tool.name, "inputSchema": {"json": tool.parameters or _NO_PARAMETERS}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict:
        if not model.strict:
            raise Unsupported("tools", "tools with a strict schema for this model")
        spec["strict"] = True
    return spec


def _output_tool(output: OutputFormat) -> Block:
    return {
        "name": JSON_TOOL,
        "description": output.description or "Give your answer by calling this tool.",
        "inputSchema": {"json": output.schema or _ANY_OBJECT},
    }
