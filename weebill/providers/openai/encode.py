"""Canonical requests as Chat Completions.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.catalog.traits import Traits
from weebill.providers.base import Target, Unsupported
from weebill.providers.fit import Fit
from weebill.providers.model_fit import taken
from weebill.providers.object_schema import parameters_of
from weebill.providers.openai.messages import messages
from weebill.providers.openai.quirks import refused, renamed
from weebill.providers.openai.request_shapes import AnthropicMetadata
from weebill.providers.pairing import paired
from weebill.wire.conversation import Conversation, Effort, OutputFormat, ReasoningOptions, Tool
from weebill.wire.errors import UNREADABLE
from weebill.wire.idle import asks_nothing
from weebill.wire.openai_chat_request import Function, FunctionChoice, JsonSchema, Name, ResponseFormat, ToolEntry
from weebill.wire.requests import ABSENT

Fields = dict[str, object]

# Fields whose names and values are the same on both sides.
_SAME: Final = (
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed",
    "n", "logprobs", "top_logprobs", "logit_bias",
)  # fmt: skip
# What the canonical form calls the fields of Chat Completions, where the names differ.
CANONICAL: Final = {
    "messages": "turns",
    "max_completion_tokens": "max_tokens",
    "response_format": "output",
    "reasoning_effort": "reasoning",
    "parallel_tool_calls": "tool_choice",
}
# Fields of Chat Completions that have no place in the canonical form; others of that kind are of another API.
_EXTRA: Final = frozenset({"verbosity", "prediction", "web_search_options", "moderation", "store"})
_HINTS: Final = ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options")
_IN_PARTS: Final = frozenset({"cache_control"})
_SERVICE_TIERS: Final = frozenset({b'"auto"', b'"default"', b'"flex"', b'"scale"', b'"priority"', b'"fast"'})
# Google's table for the two ways to say how much to think, read the other way.
# Source: https://ai.google.dev/gemini-api/docs/openai#thinking
_EFFORTS: Final[tuple[tuple[int, Effort], ...]] = ((1024, "low"), (8192, "medium"))
# Fields that are part of a demand's counterpart in the canonical form, and by themselves are hints.
_HINTS_OF_DEMANDS: Final = frozenset({"parallel_tool_calls"})
_WITH_USAGE: Final = Raw(b'{"include_usage":true}')
_NEWER: Final = "max_completion_tokens"


def fields(conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> Fields:
    """The body's fields. Raises Unsupported."""
    body: Fields = {"model": target.model, "messages": messages(tuple(paired(conversation.turns)), target, fit)}
    for name in _SAME:
        value = getattr(conversation, name)
        if value is not None:
            body[name] = value
    if conversation.max_tokens is not None:
        body[_limit(target)] = conversation.max_tokens
    if conversation.stop:
        body["stop"] = conversation.stop
        if not may_have_stops(target, len(conversation.stop)):
            raise Unsupported("stop", f"more than {target.quirks.most_stops} stop sequences")
    if conversation.tools:
        _put_tools(conversation, body, fit)
    if conversation.output is not None:
        body["response_format"] = _response_format(conversation.output)
    if conversation.reasoning is not None:
        effort = _effort(conversation.reasoning, target.traits, fit)
        if effort is not None:
            body["reasoning_effort"] = effort
    if conversation.modalities and conversation.modalities != ("text",):  # which is what comes anyway
        body["modalities"] = conversation.modalities
    if conversation.audio is not None:
        body["audio"] = conversation.audio
    for name, extra in conversation.extra.items():
        if name in _EXTRA:
            body[name] = extra
        else:
            fit.unsupported(name, value=extra)
    if conversation.hints:
        _put_hints(conversation, body, target, fit)
    if stream:
        body["stream"] = True
        if target.quirks.stream_usage:
            body["stream_options"] = _WITH_USAGE
    if target.quirks.refuse or target.quirks.accept:
        _refuse(body, target, fit)
    return renamed(body, target.quirks) if target.quirks.rename else body


def may_have_stops(target: Target, count: int) -> bool:
    """True unless a target is known not to take as many stop sequences."""
    return not target.quirks.most_stops or count <= target.quirks.most_stops


def _limit(target: Target) -> str:
    """The field that bounds an answer: servers that only resemble OpenAI's often know but the older name.

    They ignore the newer one, and answer without an end: https://github.com/abetlen/llama-cpp-python/issues/1907,
    https://github.com/lemonade-sdk/lemonade/pull/1044.
    """
    quirks = target.quirks
    newer = (
        target.traits.completion_tokens
        or quirks.completion_tokens
        or _NEWER in quirks.rename
        or _NEWER in quirks.accept
        or "max_tokens" in quirks.refuse
    )
    return _NEWER if newer else "max_tokens"


def _put_tools(conversation: Conversation, body: Fields, fit: Fit) -> None:
    tools, choice = conversation.tools, conversation.tool_choice
    if choice is not None:
        named = choice.mode == "required" and len(choice.names) == 1
        if choice.names and not named:
            # Not every provider knows `allowed_tools`; what is not shown cannot be called with any of them.
            tools = tuple(tool for tool in tools if tool.name in choice.names)
        body["tool_choice"] = FunctionChoice(Name(choice.names[0])) if named else choice.mode
        if choice.parallel is not None:
            body["parallel_tool_calls"] = choice.parallel
    body["tools"] = [_tool(tool, at, fit) for at, tool in enumerate(tools)]


def _tool(tool: Tool, at: int, fit: Fit) -> ToolEntry:
    schema = ABSENT if tool.parameters is None else parameters_of(tool, at, fit)
    return ToolEntry("function", Function(tool.name, tool.description, schema, tool.strict))


def _response_format(output: OutputFormat) -> ResponseFormat:
    if output.type == "json_object":
        return ResponseFormat("json_object")
    schema = JsonSchema(output.name or "answer", output.schema or ABSENT, output.description, output.strict)
    return ResponseFormat("json_schema", schema)


def _effort(options: ReasoningOptions, traits: Traits, fit: Fit) -> str | None:
    """The effort that `options` come to; None leaves it to the model. Words about it come as the provider has them."""
    if options.enabled is False:
        return "none"
    if options.effort is not None:
        return options.effort
    if options.budget_tokens is not None:
        meant: Effort = next((effort for most, effort in _EFFORTS if options.budget_tokens <= most), "high")
        return taken(meant, traits, fit)
    return "medium" if options.enabled and (not traits.efforts or "medium" in traits.efforts) else None


def _put_hints(conversation: Conversation, body: Fields, target: Target, fit: Fit) -> None:
    hints = conversation.hints
    for name in _HINTS:
        if name in hints:
            body[name] = hints[name]
    tier = hints.get("service_tier")
    if tier is not None and bytes(tier) in _SERVICE_TIERS:
        body["service_tier"] = tier
    if "metadata" in hints:
        try:
            user = msgspec.json.decode(hints["metadata"], type=AnthropicMetadata).user_id
        except UNREADABLE:
            user = None
        if user is not None:
            body.setdefault("user", user)
            hints = {name: value for name, value in hints.items() if name != "metadata"}
    in_parts = target.quirks.cache_marks and not any(tool.cache for tool in conversation.tools)
    fit.hints(hints, _IN_PARTS | body.keys() if in_parts else body)


def _refuse(body: Fields, target: Target, fit: Fit) -> None:
    for name in refused(tuple(body), target.quirks):
        if name not in body:
            continue
        if name in _HINTS_OF_DEMANDS:
            if not asks_nothing(name, body[name]):
                fit.hint(name)
        elif not asks_nothing(name, body[name]):
            fit.unsupported(CANONICAL.get(name, name), f"'{name}'")
        del body[name]
