"""Responses requests in canonical form.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, cast, get_args

import msgspec
from msgspec import Raw

from weebill.apis.responses.errors import unknown_response
from weebill.apis.responses.items import Turns
from weebill.apis.responses.tools import Offer, offered
from weebill.wire.body import invalid_at
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, OutputFormat, ReasoningOptions, Text, ToolChoice, Turn
from weebill.wire.errors import UNREADABLE, invalid_value, missing_parameter
from weebill.wire.idle import asks_nothing
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_object
from weebill.wire.responses import decode_items
from weebill.wire.responses_items import is_given, is_object, text_of
from weebill.wire.responses_request import (
    ENCRYPTED_REASONING,
    NULL,
    TEXT_LOGPROBS,
    NamedTool,
    ReasoningConfig,
    ResponsesRequest,
    TextOptions,
    ToolChoiceObject,
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
"""The name that a field of a conversation has here; those that this API has no field for go by their own name."""

# Fields that have a place in the canonical form, are served by Weebill itself, or ask for nothing where there are no
# hosted tools, which are refused by themselves.
_PLACED: Final = frozenset(
    {"model", "input", "instructions", "stream", "stream_options", "store", "include"}
    | {"previous_response_id", "max_output_tokens", "temperature", "top_p", "top_logprobs", "tools"}
    | {"tool_choice", "parallel_tool_calls", "text", "reasoning"}
)
# What `include` may ask for without asking anything of a model that has no hosted tools: Weebill's answers hold the
# encrypted reasoning and the addresses of images anyway.
_ABOUT_THE_ANSWER: Final = frozenset(
    {ENCRYPTED_REASONING, TEXT_LOGPROBS, "message.input_image.image_url", "file_search_call.results"}
    | {"web_search_call.results", "web_search_call.action.sources", "code_interpreter_call.outputs"}
    | {"computer_call_output.output.image_url"}
)
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_EFFORTS: Final = get_args(Effort)
_QUOTE, _BRACKET = b'"['
# The words for whether tools are called, other APIs' among them.
_MODES: Final[dict[str, Literal["auto", "none", "required"]]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
}
# The types of tools that a choice names by name; others are a provider's.
_OF_CLIENTS: Final = frozenset({"function", "custom", "tool", None})
_TEXT_READ: Final = frozenset({"format", "verbosity"})
_decode_choice: Final = msgspec.json.Decoder(ToolChoiceObject).decode
_decode_text: Final = msgspec.json.Decoder(TextOptions).decode
_decode_reasoning: Final = msgspec.json.Decoder(ReasoningConfig).decode
_encode: Final = msgspec.json.encode


def conversation(call: Call) -> Conversation:
    """A request in canonical form. Raises ApiError 400, naming the field, for what no model can be asked.

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
    offer = offered(request, fields)
    extra |= offer.passed
    return Conversation(
        turns=_turns(call, request, offer, extra),
        tools=tuple(offer.tools),
        tool_choice=_tool_choice(request, offer, extra),
        output=_output(request.text, extra),
        max_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        logprobs=_logprobs(request, extra) or None,
        top_logprobs=request.top_logprobs or None,
        reasoning=_reasoning(request.reasoning, extra),
        hints=hints,
        extra=extra,
    )


def _sort_rest(fields: Json, hints: Json, extra: Json) -> None:
    for name, value in fields.items():
        if name in _PLACED or asks_nothing(name, value):
            continue
        (hints if name in HINTS else extra)[name] = value


def _turns(call: Call, request: ResponsesRequest, offer: Offer, extra: Json) -> tuple[Turn, ...]:
    turns = Turns(offer)
    if isinstance(request.instructions, list):
        for at, item in enumerate(request.instructions):
            turns.add(item, f"instructions[{at}]")
    elif request.instructions:
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
    extra |= turns.passed
    return turns.turns()


def _tool_choice(request: ResponsesRequest, offer: Offer, extra: Json) -> ToolChoice | None:
    given, parallel = request.tool_choice, request.parallel_tool_calls
    try:
        choice = _decode_choice(given) if is_object(given) else ToolChoiceObject(text_of(given) or None)
    except UNREADABLE as error:
        raise invalid_at(error, "tool_choice") from error
    kind = choice.type
    if kind in _MODES or kind is None:
        word = _MODES.get(kind or "")
        if word == "required" and not offer.tools:
            if not request.tools:
                raise invalid_value("tool_choice", "there are no tools to choose from")
            extra["tool_choice"] = given
        if not offer.tools or (word is None and parallel is None):
            return None
        return ToolChoice(word or "auto", (), parallel)
    listed = kind == "allowed_tools"
    names, others = _chosen(choice.tools or () if listed else (choice,), offer)
    mode = _MODES.get(choice.mode or "", "auto") if listed else "required"
    if names:
        if others:
            extra["tool_choice.tools"] = given
        return ToolChoice(mode, names, parallel)
    extra["tool_choice" if mode == "required" else "tool_choice.tools"] = given
    if listed and mode == "auto":
        return ToolChoice("none", (), parallel) if offer.tools else None
    return ToolChoice("auto", (), parallel) if offer.tools and parallel is not None else None


def _chosen(named: Sequence[NamedTool], offer: Offer) -> tuple[tuple[str, ...], bool]:
    """The model's names for the tools that a choice names, and whether it names others. Raises ApiError 400."""
    names: list[str] = []
    others = False
    for tool in named:
        called = tool.name or tool.type or ""
        name = offer.find(called, tool.namespace or "")
        if name is not None:
            names.append(name)
        elif tool.type in _OF_CLIENTS:
            raise invalid_value("tool_choice", f"'{called}' is not among the tools")
        else:
            others = True
    return tuple(names), others


def _output(given: Raw, extra: Json) -> OutputFormat | None:
    if not is_given(given):
        return None
    try:
        text, members = _decode_text(given), decode_object(given)
    except UNREADABLE as error:
        raise invalid_at(error, "text") from error
    for name in members.keys() - _TEXT_READ:
        if is_given(members[name]):
            extra[f"text.{name}"] = members[name]
    if not asks_nothing("verbosity", text.verbosity):
        extra["verbosity"] = members["verbosity"]
    form = text.format
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return OutputFormat("json_object")
    if form.type != "json_schema":
        extra["output"] = members["format"]
        return None
    if form.name is None:
        raise missing_parameter("text.format.name")
    if not is_object(form.schema):
        raise invalid_value("text.format.schema", "expected an object")
    return OutputFormat("json_schema", form.schema, form.name, form.description, form.strict)


def _logprobs(request: ResponsesRequest, extra: Json) -> bool:
    unknown = [name for name in request.include or () if name not in _ABOUT_THE_ANSWER]
    if unknown:
        extra["include"] = Raw(_encode(unknown))
    return bool(request.top_logprobs) or TEXT_LOGPROBS in (request.include or ())


def _reasoning(given: Raw, extra: Json) -> ReasoningOptions | None:
    if not is_given(given):
        return None
    try:
        config, members = _decode_reasoning(given), decode_object(given)
    except UNREADABLE as error:
        raise invalid_at(error, "reasoning") from error
    for name, value in members.items():
        path = f"reasoning.{name}"
        if name not in ReasoningConfig.__struct_fields__ and not asks_nothing(path, value):
            extra[path] = value
    summary = config.summary or config.generate_summary
    effort = cast("Effort", config.effort) if config.effort in _EFFORTS else None
    if config.effort is not None and effort is None:
        extra["reasoning.effort"] = members["effort"]
    if effort is None and summary is None:
        return None
    return ReasoningOptions(enabled=False if effort == "none" else None, effort=effort, summary=summary)
