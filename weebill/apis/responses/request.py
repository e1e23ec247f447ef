"""Responses requests in canonical form.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import Final, Literal, cast, get_args

import msgspec
from msgspec import Raw

from weebill.apis.responses.items import Turns
from weebill.wire.call import Call, Json
from weebill.wire.conversation import Conversation, OutputFormat, ReasoningOptions, Text, Tool, ToolChoice, Turn
from weebill.wire.errors import ApiError
from weebill.wire.responses import decode_items
from weebill.wire.responses_request import (
    ENCRYPTED_REASONING,
    NULL,
    TEXT_LOGPROBS,
    ReasoningConfig,
    ResponsesRequest,
    TextOptions,
    ToolChoiceObject,
    ToolEntry,
)

HINTS: Final = frozenset(
    {"user", "metadata", "service_tier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"}
    | {"safety_identifier"}
)
NAMES: Final = {name: name for name in Conversation.__struct_fields__} | {
    "turns": "input",
    "max_tokens": "max_output_tokens",
    "output": "text.format",
    "logprobs": "include",
    "verbosity": "text.verbosity",
}
"""What a field of a conversation is called here; those that this API has no field for go by their own name."""

# Fields that have a place in the canonical form, are served by Weebill itself, or ask for nothing where there are no
# hosted tools, which are refused by themselves.
_PLACED: Final = frozenset(
    {"model", "input", "instructions", "stream", "stream_options", "store", "background", "conversation", "include"}
    | {"previous_response_id", "max_output_tokens", "max_tool_calls", "temperature", "top_p", "top_logprobs", "tools"}
    | {"tool_choice", "parallel_tool_calls", "text", "reasoning"}
)
# What `include` may ask for without asking anything of a model that has no hosted tools: Weebill's answers hold the
# encrypted reasoning and the addresses of images anyway.
_ABOUT_THE_ANSWER: Final = frozenset(
    {ENCRYPTED_REASONING, TEXT_LOGPROBS, "message.input_image.image_url", "file_search_call.results"}
    | {"web_search_call.results", "web_search_call.action.sources", "code_interpreter_call.outputs"}
    | {"computer_call_output.output.image_url"}
)
# Values that say what is so anyway.
_DEFAULTS: Final = {"truncation": b'"disabled"'}
_REASONING_DEFAULTS: Final = {"context": b'"auto"', "mode": b'"standard"'}
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_EFFORTS: Final = get_args(Effort)
_QUOTE, _BRACKET = b'"['
_decode_object: Final = msgspec.json.Decoder(Json).decode
_encode: Final = msgspec.json.encode


def conversation(call: Call) -> Conversation:
    """A request in canonical form. Raises ApiError 400, naming the field, for what no other model can be asked.

    Reads `input` from the call's fields, where earlier responses have been put in (`responses_state.with_history`).
    """
    request = cast(ResponsesRequest, call.request)
    fields = call.fields
    if "previous_response_id" in fields and request.previous_response_id is not None:
        raise unknown_response(request.previous_response_id)
    extra: Json = {}
    hints: Json = {}
    if not fields.keys() <= _PLACED:
        _sort_rest(fields, hints, extra)
    tools = _tools(request.tools, fields, extra)
    return Conversation(
        turns=_turns(call, request),
        tools=tools,
        tool_choice=_tool_choice(request, fields, tools, extra),
        output=_output(request.text, extra),
        max_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        logprobs=_logprobs(request, extra) or None,
        top_logprobs=request.top_logprobs or None,
        reasoning=_reasoning(request.reasoning, fields, extra),
        hints=hints,
        extra=extra,
    )


def unknown_response(response_id: str) -> ApiError:
    """For a previous response that is not kept."""
    return ApiError(
        400,
        f"Previous response with id '{response_id}' not found.",
        code="previous_response_not_found",
        param="previous_response_id",
    )


def _sort_rest(fields: Json, hints: Json, extra: Json) -> None:
    for name, value in fields.items():
        if name in _PLACED or bytes(value) in (b"null", _DEFAULTS.get(name)):
            continue
        (hints if name in HINTS else extra)[name] = value


def _turns(call: Call, request: ResponsesRequest) -> tuple[Turn, ...]:
    turns = Turns(drop_foreign=call.drop_params)
    if request.instructions:
        turns.say("system", (Text(request.instructions),))
    given = call.fields.get("input", NULL)
    first = memoryview(given)[0]
    if first == _QUOTE:
        turns.say("user", (Text(cast(str, request.input)),))
    elif first == _BRACKET:
        items = decode_items(given)
        own = len(request.input) if isinstance(request.input, list) else int(request.input is not None)
        for at, item in enumerate(items, own - len(items)):
            turns.add(item, f"input[{at}]" if at >= 0 else "previous_response_id")
    return turns.turns()


def _tools(entries: list[ToolEntry] | None, fields: Json, extra: Json) -> tuple[Tool, ...]:
    """The functions. Other tools go to `extra`, under the path that they have in the request."""
    if not entries:
        return ()
    offered = []
    raws: list[Raw] | None = None
    for at, entry in enumerate(entries):
        if entry.type != "function":
            raws = raws or decode_items(fields["tools"])
            extra[f"tools[{at}]"] = raws[at]
            continue
        if not entry.name:
            param = f"tools[{at}].name"
            message = f"Missing required parameter: '{param}'."
            raise ApiError(400, message, code="missing_required_parameter", param=param)
        parameters = bytes(entry.parameters)
        if parameters[:1] != b"{" and parameters != b"null":
            raise _invalid(f"tools[{at}].parameters", "expected an object")
        schema = entry.parameters if parameters != b"null" else None
        offered.append(Tool(entry.name, entry.description, schema, entry.strict))
    return tuple(offered)


def _tool_choice(request: ResponsesRequest, fields: Json, offered: tuple[Tool, ...], extra: Json) -> ToolChoice | None:
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if isinstance(choice, ToolChoiceObject):
        names = _chosen(choice)
        if names is None:
            extra["tool_choice"] = fields["tool_choice"]
            return ToolChoice("auto", (), parallel) if offered and parallel is not None else None
        missing = set(names).difference(tool.name for tool in offered)
        if missing:
            raise _invalid("tool_choice", f"'{min(missing)}' is not among the tools")
        return ToolChoice("required" if choice.type == "function" else choice.mode or "auto", names, parallel)
    if not offered:
        if choice == "required" and not request.tools:
            raise _invalid("tool_choice", "there are no tools to choose from")
        return None
    if choice is None and parallel is None:
        return None
    return ToolChoice(choice or "auto", (), parallel)


def _chosen(choice: ToolChoiceObject) -> tuple[str, ...] | None:
    """The functions that a choice names; None if it names other tools."""
    if choice.type == "function" and choice.name:
        return (choice.name,)
    if choice.type == "allowed_tools" and choice.tools:
        names = tuple(tool.name for tool in choice.tools if tool.type == "function" and tool.name)
        return names if len(names) == len(choice.tools) else None
    return None


def _output(text: TextOptions | None, extra: Json) -> OutputFormat | None:
    if text is None:
        return None
    # "medium" is what is so anyway.
    if text.verbosity is not None and text.verbosity != "medium":
        extra["verbosity"] = Raw(_encode(text.verbosity))
    form = text.format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return OutputFormat("json_object")
    if form.name is None:
        message = "Missing required parameter: 'text.format.name'."
        raise ApiError(400, message, code="missing_required_parameter", param="text.format.name")
    if bytes(form.schema)[:1] != b"{":
        raise _invalid("text.format.schema", "expected an object")
    return OutputFormat("json_schema", form.schema, form.name, form.description, form.strict)


def _logprobs(request: ResponsesRequest, extra: Json) -> bool:
    unknown = [name for name in request.include or () if name not in _ABOUT_THE_ANSWER]
    if unknown:
        extra["include"] = Raw(_encode(unknown))
    return bool(request.top_logprobs) or TEXT_LOGPROBS in (request.include or ())


def _reasoning(config: ReasoningConfig | None, fields: Json, extra: Json) -> ReasoningOptions | None:
    if config is None:
        return None
    for name, value in _decode_object(fields["reasoning"]).items():
        if name not in ReasoningConfig.__struct_fields__ and bytes(value) not in (
            b"null",
            _REASONING_DEFAULTS.get(name),
        ):
            extra[f"reasoning.{name}"] = value
    summary = config.summary or config.generate_summary
    if config.effort is None and summary is None:
        return None
    if config.effort is not None and config.effort not in _EFFORTS:
        raise _invalid("reasoning.effort", f"'{config.effort}' is none of {', '.join(_EFFORTS)}")
    effort = cast("Effort | None", config.effort)
    return ReasoningOptions(enabled=False if effort == "none" else None, effort=effort, summary=summary)


def _invalid(param: str, reason: str) -> ApiError:
    return ApiError(400, f"Invalid value for '{param}': {reason}.", code="invalid_value", param=param)
