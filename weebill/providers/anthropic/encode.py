"""Canonical requests as requests to Anthropic's Messages API.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.providers.anthropic import schema as schemas
from weebill.providers.anthropic.thinking import effort, thinking
from weebill.providers.anthropic.turns import Message, Turns
from weebill.providers.base import Target, Unsupported, UpstreamRequest
from weebill.wire import anthropic as wire
from weebill.wire.anthropic import cache_control
from weebill.wire.call import Json
from weebill.wire.conversation import Conversation, Tool
from weebill.wire.errors import UNREADABLE

JSON_TOOL: Final = "weebill_json_output"
"""The tool by which a model gives its answer where the answer has to be JSON and cannot be bound to be otherwise."""

_FILES_BETA: Final = "files-api-2025-04-14"
_ANY_OBJECT: Final = Raw(b'{"type":"object"}')
_NOTHING: Final = Raw(b'{"type":"object","properties":{}}')

_encode = msgspec.json.encode
_decode_object = msgspec.json.Decoder(Json).decode
_decode_string = msgspec.json.Decoder(str).decode


class _Tool(Struct, frozen=True, omit_defaults=True):
    name: str
    input_schema: Raw
    description: str | None = None
    strict: bool | None = None
    cache_control: wire.CacheControl | None = None


class _Metadata(Struct, frozen=True):
    user_id: str


class _Request(Struct, frozen=True, kw_only=True):
    model: str
    max_tokens: int
    messages: list[Message]
    system: str | list[wire.TextBlock] | UnsetType = UNSET
    tools: list[_Tool] | UnsetType = UNSET
    tool_choice: wire.ToolChoice | UnsetType = UNSET
    thinking: wire.Thinking | UnsetType = UNSET
    output_config: wire.OutputConfig | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    top_k: int | UnsetType = UNSET
    stop_sequences: tuple[str, ...] | UnsetType = UNSET
    metadata: _Metadata | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    stream: bool | UnsetType = UNSET


def encode(conversation: Conversation, target: Target, *, stream: bool) -> UpstreamRequest:
    """The request. Raises Unsupported."""
    thought, max_tokens = thinking(conversation.reasoning, conversation.max_tokens, target)
    thinks = thought is not None and thought.type != "disabled"
    _check(conversation, thinks)
    writer = Turns()
    writer.write(conversation.turns)
    tools, choice, output = _tools(conversation, target, thinks)
    config = wire.OutputConfig(effort(conversation.reasoning, target), output)
    body = _Request(
        model=target.model,
        max_tokens=max_tokens,
        messages=writer.messages(),
        system=writer.system_prompt() or UNSET,
        tools=tools or UNSET,
        tool_choice=choice or UNSET,
        thinking=thought or UNSET,
        output_config=config if config.effort or config.format else UNSET,
        temperature=UNSET if conversation.temperature is None else conversation.temperature,
        top_p=UNSET if conversation.top_p is None else conversation.top_p,
        top_k=UNSET if conversation.top_k is None else conversation.top_k,
        stop_sequences=conversation.stop or UNSET,
        metadata=_metadata(conversation.hints),
        service_tier=_service_tier(conversation.hints),
        stream=stream or UNSET,
    )
    betas = [target.options.get("anthropic_beta", ""), _FILES_BETA if writer.has_files else ""]
    return UpstreamRequest(b"/messages", _encode(body), headers(target, betas))


def headers(target: Target, betas: Iterable[str], version: str | None = None) -> bytes:
    """The header lines, with the version and betas of the request, or else of the target's options."""
    lines = "content-type: application/json\r\n"
    lines += f"anthropic-version: {version or target.options.get('anthropic_version') or wire.VERSION}\r\n"
    named = [beta.strip() for given in betas for beta in given.split(",")]
    beta = ",".join(dict.fromkeys(name for name in named if name))
    if beta:
        lines += f"anthropic-beta: {beta}\r\n"
    return lines.encode("latin-1")


def _check(conversation: Conversation, thinks: bool) -> None:
    """Raises Unsupported for the values of single fields that Anthropic has nothing for."""
    temperature = conversation.temperature
    if temperature is not None and temperature > 1:
        raise Unsupported("temperature", "a temperature over 1")
    if thinks and temperature is not None and temperature != 1:
        raise Unsupported("temperature", "a temperature other than 1 together with reasoning")
    if thinks and conversation.top_k is not None:
        raise Unsupported("top_k", "this together with reasoning")
    if conversation.n is not None and conversation.n > 1:
        raise Unsupported("n", "more than one answer")
    if any(not stop.strip() for stop in conversation.stop):
        raise Unsupported("stop", "a stop sequence of white space alone")
    if any(kind != "text" for kind in conversation.modalities):
        raise Unsupported("modalities", "answers other than text")


def _metadata(hints: Json) -> _Metadata | UnsetType:
    user = hints.get("user") or hints.get("safety_identifier")
    try:
        return UNSET if user is None else _Metadata(_decode_string(user))
    except UNREADABLE:
        return UNSET


def _service_tier(hints: Json) -> str | UnsetType:
    """OpenAI's tiers that have a counterpart; the others are passed over."""
    tier = hints.get("service_tier")
    return UNSET if tier is None else {b'"auto"': "auto", b'"default"': "standard_only"}.get(bytes(tier), UNSET)


# --- Tools, and output that must be JSON.


def _tools(
    conversation: Conversation, target: Target, thinks: bool
) -> tuple[list[_Tool], wire.ToolChoice | None, wire.JsonFormat | None]:
    """`tools`, `tool_choice` and `output_config.format`."""
    choice = conversation.tool_choice
    names = choice.names if choice else ()
    only_some = names and not (choice and choice.mode == "required" and len(names) == 1)
    tools = [_tool(tool) for tool in conversation.tools if not only_some or tool.name in names]
    mode = choice.mode if choice else "auto"
    if mode == "required" and not tools:
        raise Unsupported("tool_choice", "calls where there are no tools")
    if mode == "required" and thinks:
        raise Unsupported("tool_choice", "forced calls together with reasoning")
    single = True if choice and choice.parallel is False else None
    written: wire.ToolChoice | None = None
    if tools and choice is not None:
        match mode:
            case "required" if len(names) == 1:
                written = wire.ToolChoice("tool", names[0], single)
            case "required":
                written = wire.ToolChoice("any", None, single)
            case "none":
                written = wire.ToolChoice("none")
            case "auto":
                written = wire.ToolChoice("auto", None, single)
    # Where a call is demanded there is no text that could have to be JSON.
    if conversation.output is None or mode == "required":
        return tools, written, None
    try:
        return tools, written, wire.JsonFormat("json_schema", _native_schema(conversation, target))
    except schemas.NotNative as error:
        if thinks:
            raise Unsupported("output", f"{error.what} together with reasoning") from error
    tools.append(_json_tool(conversation))
    if len(tools) > 1 and mode == "auto":
        # The model shall still be free to call the others first.
        return tools, wire.ToolChoice("any", None, single), None
    return tools, wire.ToolChoice("tool", JSON_TOOL), None


def _native_schema(conversation: Conversation, target: Target) -> Raw:
    """The schema for structured outputs. Raises NotNative where they do not do."""
    output = conversation.output
    if output is None or output.schema is None:
        raise schemas.NotNative("JSON output without a schema")
    if target.options.get("json_schema", "native") != "native":
        raise schemas.NotNative("JSON output by this model")
    return schemas.native(output.schema)


def _json_tool(conversation: Conversation) -> _Tool:
    output = conversation.output
    schema = output.schema if output and output.schema is not None else _ANY_OBJECT
    told = output.description if output and output.description else "The answer."
    return _Tool(JSON_TOOL, _input_schema(schema), f"{told} Give the whole answer by calling this tool, once.")


def _tool(tool: Tool) -> _Tool:
    schema = _NOTHING if tool.parameters is None else _input_schema(tool.parameters)
    return _Tool(tool.name, schema, tool.description, tool.strict or None, cache_control(tool.cache))


def _input_schema(schema: Raw) -> Raw:
    """A schema that says that it is of an object, which Anthropic demands and others take for granted."""
    try:
        fields = _decode_object(schema)
    except UNREADABLE as error:
        raise Unsupported("tools", "parameters that are not a JSON Schema object") from error
    return schema if "type" in fields else Raw(_encode({"type": "object", **fields}))
