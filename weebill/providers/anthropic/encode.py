"""Canonical requests as requests to Anthropic's Messages API.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypedDict

import msgspec
from msgspec import UNSET, Raw, UnsetType

from weebill.providers.anthropic import schema as schemas
from weebill.providers.anthropic.request_shapes import Request
from weebill.providers.anthropic.thinking import thought, traits
from weebill.providers.anthropic.turns import Turns
from weebill.providers.base import Target, Unsupported, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.object_schema import ANY_OBJECT, object_schema, parameters_of
from weebill.providers.pairing import stand_ins
from weebill.wire import anthropic as wire
from weebill.wire.anthropic import cache_control
from weebill.wire.conversation import Conversation, OutputFormat, Tool
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_text

JSON_TOOL: Final = "weebill_json_output"
"""The tool by which a model gives its answer where the answer has to be JSON and cannot be bound to be otherwise."""

_FILES_BETA: Final = "files-api-2025-04-14"
_LEAST_TOP_P: Final = 0.95
_USERS: Final = frozenset({"user", "safety_identifier"})
# OpenAI's tiers that have a counterpart.
_TIERS: Final = {b'"auto"': "auto", b'"default"': "standard_only"}

_encode = msgspec.json.encode


def encode(conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
    """The request. Raises Unsupported."""
    _check(conversation)
    writer = Turns()
    writer.write(conversation.turns)
    if writer.begun and not traits(target).prefill:
        fit.hint("turns", "an answer that has begun")
        writer.go_on()
    tools, choice, output = _tools(conversation, target, fit)
    told = thought(
        conversation.reasoning,
        conversation.max_tokens,
        target,
        fit,
        bound=_bound(writer, choice),
        unthinking=writer.called_without_thinking,
    )
    config = wire.OutputConfig(told.effort, output)
    body = Request(
        model=target.model,
        max_tokens=told.max_tokens,
        messages=writer.messages(),
        system=writer.system_prompt() or UNSET,
        tools=tools or UNSET,
        tool_choice=choice or UNSET,
        thinking=told.thinking or UNSET,
        output_config=config if config.effort or config.format else UNSET,
        **sampling(conversation, fit, thinks=told.thinks),
        stop_sequences=conversation.stop or UNSET,
        **_hints(conversation.hints, fit),
        stream=stream or UNSET,
    )
    betas = [target.options.get("anthropic_beta", ""), _FILES_BETA if writer.has_files else ""]
    return UpstreamRequest(b"/messages", _encode(body), headers(target, betas))


BINDING: Final = frozenset({"any", "tool"})
"""The choices of tools that force a call."""


def _bound(writer: Turns, choice: wire.ToolChoice | None) -> str:
    """The demand that rules out thinking; "" if there is none."""
    if choice is not None and choice.type in BINDING:
        return "forced calls"
    return "an answer that has begun" if writer.begun else ""


_USUAL_HEADERS: Final = f"content-type: application/json\r\nanthropic-version: {wire.VERSION}\r\n".encode()


def headers(target: Target, betas: Iterable[str], version: str | None = None) -> bytes:
    """The header lines, with the version and betas of the request, or else of the target's options."""
    if not version and not target.options and not any(betas):
        return _USUAL_HEADERS
    lines = "content-type: application/json\r\n"
    lines += f"anthropic-version: {version or target.options.get('anthropic_version') or wire.VERSION}\r\n"
    named = [beta.strip() for given in betas for beta in given.split(",")]
    beta = ",".join(dict.fromkeys(name for name in named if name))
    if beta:
        lines += f"anthropic-beta: {beta}\r\n"
    return lines.encode("latin-1")


def _check(conversation: Conversation) -> None:
    """Raises Unsupported for the values of single fields that Anthropic has nothing for."""
    if conversation.n is not None and conversation.n > 1:
        raise Unsupported("n", "more than one answer")
    if any(not stop.strip() for stop in conversation.stop):
        raise Unsupported("stop", "a stop sequence of white space alone")
    if any(kind != "text" for kind in conversation.modalities):
        raise Unsupported("modalities", "answers other than text")


class Sampling(TypedDict):
    """The settings by which a token is chosen, in the bounds that Anthropic sets."""

    temperature: float | UnsetType
    top_p: float | UnsetType
    top_k: int | UnsetType


def sampling(conversation: Conversation, fit: Fit, *, thinks: bool) -> Sampling:
    """Reads how a token is to be chosen. A model that thinks chooses as it was made to."""
    temperature, top_p, top_k = conversation.temperature, conversation.top_p, conversation.top_k
    if temperature is not None and temperature > 1:
        fit.hint("temperature", "a temperature over 1")
        temperature = None  # what comes closest is what holds anyway
    if thinks and temperature is not None and temperature != 1:
        fit.hint("temperature", "a temperature other than 1 together with reasoning")
        temperature = None
    if thinks and top_p is not None and not _LEAST_TOP_P <= top_p <= 1:
        fit.hint("top_p", f"less than {_LEAST_TOP_P} together with reasoning")
        top_p = None
    if thinks and top_k is not None:
        fit.hint("top_k", "this together with reasoning")
        top_k = None
    return {
        "temperature": UNSET if temperature is None else temperature,
        "top_p": UNSET if top_p is None else top_p,
        "top_k": UNSET if top_k is None else top_k,
    }


class _Hinted(TypedDict):
    metadata: wire.Metadata | UnsetType
    service_tier: str | UnsetType


def _hints(hints: Json, fit: Fit) -> _Hinted:
    """The hints that have a counterpart; the others are passed over."""
    found: _Hinted = {"metadata": UNSET, "service_tier": UNSET}
    for name, value in hints.items():
        if name in _USERS and bytes(value).startswith(b'"'):
            if found["metadata"] is UNSET or name == "user":
                found["metadata"] = wire.Metadata(decode_text(value))
        elif name == "service_tier" and bytes(value) in _TIERS:
            found["service_tier"] = _TIERS[bytes(value)]
        elif name != "cache_control":  # which is written where it belongs
            fit.hints({name: value})
    return found


# --- Tools, and output that must be JSON.


def _tools(
    conversation: Conversation, target: Target, fit: Fit
) -> tuple[list[wire.ToolEntry], wire.ToolChoice | None, wire.JsonFormat | None]:
    """`tools`, `tool_choice` and `output_config.format`."""
    choice = conversation.tool_choice
    names = choice.names if choice else ()
    only_some = names and not (choice and choice.mode == "required" and len(names) == 1)
    offered = [(index, tool) for index, tool in enumerate(conversation.tools) if not only_some or tool.name in names]
    tools = [_tool(tool, index, target, fit) for index, tool in offered]
    mode = choice.mode if choice else "auto"
    if mode == "required" and not tools:
        raise Unsupported("tool_choice", "calls where there are no tools")
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
    if not tools:
        tools = [_tool(tool, index, target, fit) for index, tool in enumerate(stand_ins(conversation.turns))]
        if tools:
            mode, written = "none", wire.ToolChoice("none")
    # Where a call is demanded there is no text that could have to be JSON.
    if conversation.output is None or mode == "required":
        return tools, written, None
    try:
        return tools, written, wire.JsonFormat("json_schema", _native_schema(conversation.output, target))
    except schemas.NotNative:
        tools.append(_json_tool(conversation.output))
    if len(tools) > 1 and mode == "auto":
        # The model shall still be free to call the others first.
        return tools, wire.ToolChoice("any", None, single), None
    return tools, wire.ToolChoice("tool", JSON_TOOL), None


def _native_schema(output: OutputFormat, target: Target) -> Raw:
    """The schema for structured outputs. Raises NotNative where they do not do."""
    if output.schema is None:
        raise schemas.NotNative("JSON output without a schema")
    option = target.options.get("json_schema")
    if option not in (None, "native") or (option is None and traits(target).schema is False):
        raise schemas.NotNative("JSON output by this model")
    return schemas.native(schemas.described(output.schema, output.name, output.description))


def _json_tool(output: OutputFormat) -> wire.ToolEntry:
    schema = ANY_OBJECT if output.schema is None else object_schema(output.schema).schema
    told = output.description or "The answer."
    described = schemas.described(schema, output.name, None)
    return wire.ToolEntry(JSON_TOOL, described, f"{told} Give the whole answer by calling this tool, once.")


def _tool(tool: Tool, at: int, target: Target, fit: Fit) -> wire.ToolEntry:
    schema = parameters_of(tool, at, fit)
    strict = tool.strict or None
    if strict:
        try:
            schema = _strict_schema(schema, target)
        except schemas.NotNative as error:
            fit.hint(f"tools[{at}].strict", f"a strict tool with {error.what}")
            strict = None
    return wire.ToolEntry(tool.name, schema, tool.description, strict=strict, cache_control=cache_control(tool.cache))


def _strict_schema(schema: Raw, target: Target) -> Raw:
    if traits(target).schema is False:
        raise schemas.NotNative("this model")
    schemas.native(schema)
    return schema
