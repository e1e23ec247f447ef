"""Requests of Anthropic's Messages API: their fields as types, and their way into canonical form.

A body is checked in two steps. What decides whom it goes to and how it is metered is checked for all; messages, tools
and the system prompt down to the last field only where they have to be understood, because an Anthropic target gets
them byte for byte, those included that Weebill has never heard of.

Source: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Final, Literal, TypeVar, cast

import msgspec
from msgspec import Meta, Raw, Struct

from weebill.apis.anthropic.turns import mark_last, message_turns, refusal, text
from weebill.wire import anthropic as wire
from weebill.wire.anthropic import cache_mark
from weebill.wire.body import invalid_body, take_own, top_level
from weebill.wire.call import Call, InboundRequest, Json, Own
from weebill.wire.conversation import Conversation, OutputFormat, ReasoningOptions, Text, Tool, ToolChoice, Turn
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.requests import ModelName, Probability


class _BlockHead(Struct, frozen=True):
    type: str


class _MessageHead(Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[_BlockHead]


class _Metadata(Struct, frozen=True):
    user_id: str | None = None


class _ToolHead(Struct, frozen=True):
    name: str | None = None


class PromptRequest(InboundRequest, frozen=True, kw_only=True):
    """What generating and counting tokens share. `output_format` is the older name of `output_config.format`."""

    model: ModelName
    messages: Annotated[list[_MessageHead], Meta(min_length=1)]
    system: str | list[_BlockHead] | None = None
    tools: list[_ToolHead] | None = None
    tool_choice: wire.ToolChoice | None = None
    thinking: wire.Thinking | None = None
    output_config: wire.OutputConfig | None = None
    output_format: wire.JsonFormat | None = None
    cache_control: wire.CacheControl | None = None


class MessagesRequest(PromptRequest, frozen=True, kw_only=True):
    """`POST /v1/messages`."""

    max_tokens: Annotated[int, Meta(ge=0)]
    stream: bool | None = None
    temperature: Probability | None = None
    top_p: Probability | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    stop_sequences: list[str] | None = None
    metadata: _Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None


class CountRequest(PromptRequest, frozen=True, kw_only=True):
    """`POST /v1/messages/count_tokens`."""


HEADERS: Final = frozenset({b"anthropic-version", b"anthropic-beta"})
_FIELDS: Final = frozenset(MessagesRequest.__struct_fields__)
# Anthropic's tiers in the words that other providers use.
_TIERS: Final = {"auto": "auto", "standard_only": "default"}


_NONE: Final = Raw()


class _Tool(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool of the client's own. What follows `cache_control` is for Anthropic's models alone."""

    name: Annotated[str, Meta(min_length=1)]
    input_schema: Raw
    description: str | None = None
    type: str | None = None
    strict: bool | None = None
    cache_control: wire.CacheControl | None = None
    input_examples: Raw = _NONE
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None


class _ToolType(Struct, frozen=True):
    type: str | None = None


_encode = msgspec.json.encode
_decode_messages = msgspec.json.Decoder(list[wire.Message]).decode
_decode_system = msgspec.json.Decoder(str | list[wire.TextBlock]).decode
_decode_raws = msgspec.json.Decoder(list[Raw]).decode
_decode_tool_type = msgspec.json.Decoder(_ToolType).decode
_decode_tool = msgspec.json.Decoder(_Tool).decode

Request = TypeVar("Request", bound=PromptRequest)
Decoded = TypeVar("Decoded")


def decode_prompt(body: bytes, decode: Callable[[bytes], Request]) -> tuple[Request, Json, Own]:
    """The request in `body`, its fields, and Weebill's own. Raises ApiError 400 naming the field."""
    try:
        request, fields = decode(body), top_level(body)
    except UNREADABLE as error:
        raise invalid_body(error) from error
    return request, fields, take_own(fields)


def own_headers(headers: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
    """Those of the client's headers that belong to this API."""
    return {name: headers[name] for name in HEADERS if name in headers}


def conversation(call: Call) -> Conversation:
    """A request in canonical form. Raises ApiError 400, naming the field, for what only Anthropic can be asked."""
    request = cast(PromptRequest, call.request)
    fields = call.fields
    generation = request if isinstance(request, MessagesRequest) else None
    if generation is not None and generation.max_tokens == 0:
        raise refusal("max_tokens", "only Anthropic models take 0, which fills the prompt cache")
    turns: list[Turn] = []
    if request.system:
        system = _read(_decode_system, fields, "system")
        parts = (Text(system),) if isinstance(system, str) else tuple(text(block) for block in system)
        turns.append(Turn("system", parts))
    for index, message in enumerate(_read(_decode_messages, fields, "messages")):
        turns.extend(message_turns(message, f"messages[{index}].content"))
    if request.cache_control is not None:
        mark_last(turns, request.cache_control)
    extra = {name: value for name, value in fields.items() if name not in _FIELDS and bytes(value) != b"null"}
    return Conversation(
        turns=tuple(turns),
        tools=tuple(_tools(fields, extra)) if request.tools else (),
        tool_choice=_tool_choice(request.tool_choice),
        output=_output(request),
        reasoning=_reasoning(request),
        max_tokens=generation.max_tokens if generation else None,
        temperature=generation.temperature if generation else None,
        top_p=generation.top_p if generation else None,
        top_k=generation.top_k if generation else None,
        stop=tuple(generation.stop_sequences or ()) if generation else (),
        hints=_hints(generation) if generation else {},
        extra=extra,
    )


def _read(decode: Callable[[Raw], Decoded], fields: Json, name: str) -> Decoded:
    """The field `name`, strictly. Raises ApiError 400."""
    try:
        return decode(fields[name])
    except UNREADABLE as error:
        raise _invalid(error, name) from error


def _invalid(error: Exception, path: str) -> ApiError:
    """What a client is told of a part of the body, at `path`, that does not decode."""
    text = str(error)
    text = text.replace("`$", f"`$.{path}", 1) if "`$" in text else f"{text} - at `$.{path}`"
    return invalid_body(msgspec.ValidationError(text))


def _tools(fields: Json, extra: Json) -> Iterator[Tool]:
    """The client's own tools. What only Anthropic has goes to `extra`, under the path that it has in the request."""
    for index, raw in enumerate(_read(_decode_raws, fields, "tools")):
        path = f"tools[{index}]"
        try:
            if _decode_tool_type(raw).type not in (None, "custom"):
                extra[path] = raw
                continue
            tool = _decode_tool(raw)
        except UNREADABLE as error:
            raise _invalid(error, path) from error
        if not bytes(tool.input_schema).startswith(b"{"):
            raise refusal(f"{path}.input_schema", "expected an object")
        if bytes(tool.input_examples) not in (b"", b"null", b"[]"):
            extra[f"{path}.input_examples"] = tool.input_examples
        if tool.allowed_callers is not None and tool.allowed_callers != ["direct"]:
            extra[f"{path}.allowed_callers"] = Raw(_encode(tool.allowed_callers))
        if tool.defer_loading:
            extra[f"{path}.defer_loading"] = Raw(b"true")
        yield Tool(tool.name, tool.description, tool.input_schema, tool.strict, cache_mark(tool.cache_control))


def _tool_choice(choice: wire.ToolChoice | None) -> ToolChoice | None:
    if choice is None:
        return None
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    match choice.type:
        case "tool":
            if not choice.name:
                param = "tool_choice.name"
                raise ApiError(
                    400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
                )
            return ToolChoice("required", (choice.name,), parallel)
        case "any":
            return ToolChoice("required", (), parallel)
        case mode:
            return ToolChoice(mode, (), parallel)


def _output(request: PromptRequest) -> OutputFormat | None:
    config = request.output_config
    given = (config.format if config else None) or request.output_format
    if given is None:
        return None
    if not bytes(given.schema).startswith(b"{"):
        raise refusal("output_config.format.schema", "expected an object")
    return OutputFormat("json_schema", given.schema)


def _reasoning(request: PromptRequest) -> ReasoningOptions | None:
    thinking = request.thinking
    effort = request.output_config.effort if request.output_config else None
    if thinking is None:
        return ReasoningOptions(effort=effort) if effort else None
    if thinking.type == "between_tools":
        raise refusal("thinking.type", "only Anthropic models know 'between_tools'")
    if thinking.type == "disabled":
        return ReasoningOptions(enabled=False, effort=effort)
    if thinking.type == "enabled" and thinking.budget_tokens is None:
        param = "thinking.budget_tokens"
        raise ApiError(400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)
    return ReasoningOptions(
        enabled=True, effort=effort, budget_tokens=thinking.budget_tokens, include=thinking.display != "omitted"
    )


def _hints(request: MessagesRequest) -> Json:
    """Under the names and in the words of OpenAI's API, which most targets speak."""
    hints: Json = {}
    if request.metadata is not None and request.metadata.user_id is not None:
        hints["user"] = Raw(_encode(request.metadata.user_id))
    if request.service_tier is not None:
        hints["service_tier"] = Raw(_encode(_TIERS[request.service_tier]))
    return hints
