"""Requests in the format of Bedrock's Converse API.

Left out because Bedrock has no words for it and it does not change what is said: other models' citations and
thinking in earlier answers. Turns are in `turns.py`.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET

from weebill.providers.anthropic.encode import sampling
from weebill.providers.anthropic.schema import described
from weebill.providers.anthropic.thinking import Thought, thought
from weebill.providers.base import Target, Unsupported, UpstreamRequest
from weebill.providers.bedrock.models import JSON_TOOL, Model, model_of
from weebill.providers.bedrock.turns import FAMILY as FAMILY
from weebill.providers.bedrock.turns import Block, Turns, cache_point
from weebill.providers.fit import Fit
from weebill.providers.object_schema import ANY_OBJECT, object_schema
from weebill.providers.pairing import stand_ins
from weebill.providers.paths import quoted
from weebill.wire.conversation import Conversation, Json, OutputFormat, Tool
from weebill.wire.json_values import decode_object

SUPPORTED: Final = frozenset({
    "turns", "tools", "tool_choice", "output", "max_tokens", "temperature", "top_p", "top_k", "stop", "reasoning",
    "hints", "extra",
})  # fmt: skip
# Bedrock's own fields, for clients that know them.
_EXTRA: Final = frozenset({
    "guardrailConfig", "performanceConfig", "promptVariables", "requestMetadata", "serviceTier",
    "additionalModelResponseFieldPaths",
})  # fmt: skip
_MODEL_FIELDS: Final = "additionalModelRequestFields"

# Of the hints, what the parts themselves say.
_HINTS: Final = frozenset({"cache_control"})
_encode: Final = msgspec.json.encode


def encode_request(conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
    """The request. Raises Unsupported."""
    model = model_of(target)
    writer = Turns(fit, caches=model.caches)
    writer.write(conversation.turns)
    if writer.begun and not model.prefill:
        fit.hint("turns", "an answer that has begun")
        writer.go_on()
    body: Block = {"messages": writer.messages()}
    if writer.system:
        body["system"] = writer.system
    output = conversation.output
    if output is not None and output.schema is None and not model.forced_tool:
        # Who asks for JSON of any form says so in the prompt as well: OpenAI demands it.
        fit.hint("output", "JSON without a schema for this model")
        output = None
    by_tool = output if output is not None and _takes_tool(output, model) else None
    tools = _tool_config(conversation, model, by_tool, fit)
    told = _thought(conversation, model, target, writer, fit, forced=tools is not None and _is_forced(tools))
    inference = _inference(conversation, told, fit)
    top_k = inference.pop("topK", None)
    if inference:
        body["inferenceConfig"] = inference
    if tools is not None:
        body["toolConfig"] = tools
    shape: Block = {} if output is None or by_tool is not None else {"textFormat": _text_format(output)}
    if told.effort is not None:
        shape["effort"] = told.effort
    if shape:
        body["outputConfig"] = shape
    fields: Block = {} if told.thinking is None else {"thinking": told.thinking}
    if top_k is not None and model.anthropic:
        fields["top_k"] = top_k
    elif top_k is not None:
        fit.hint("top_k", "'top_k' for this model")
    if conversation.stop and model.anthropic:
        body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    _add_extra(conversation.extra, body, fields, fit)
    fit.hints(conversation.hints, _HINTS)
    if fields:
        body[_MODEL_FIELDS] = fields
    verb = "converse-stream" if stream else "converse"
    return UpstreamRequest(f"/model/{quoted(target.model, safe='')}/{verb}".encode(), _encode(body))


def _add_extra(extra: Json, body: Block, fields: Block, fit: Fit) -> None:
    for name, raw in extra.items():
        if name == _MODEL_FIELDS:
            fields |= decode_object(raw)
        elif name in _EXTRA:
            body[name] = raw
        else:
            fit.unsupported(name, f"the field '{name}'", raw)


def _thought(
    conversation: Conversation, model: Model, target: Target, writer: Turns, fit: Fit, *, forced: bool
) -> Thought:
    """Says how much to think: only Anthropic's models can be told. Raises Unsupported where hints are to be refused."""
    asked, limit = conversation.reasoning, conversation.max_tokens
    if asked is None or not model.thinks:
        if asked is not None and asked.enabled is not False and asked.effort != "none" and asked.budget_tokens != 0:
            fit.hint("reasoning", "control of its reasoning")
        return Thought(None, limit or 0)
    bound = "forced calls" if forced else "an answer that has begun" if writer.begun else ""
    told = thought(asked, limit, target, fit, bound=bound, unthinking=writer.called_without_thinking)
    # Bedrock needs no limit; its default is the model's own.
    return told if limit is not None else told._replace(max_tokens=0)


def _inference(conversation: Conversation, told: Thought, fit: Fit) -> Block:
    chosen = sampling(conversation, fit, thinks=told.thinks)
    named = {
        "maxTokens": told.max_tokens or None,
        "temperature": chosen["temperature"],
        "topP": chosen["top_p"],
        "topK": chosen["top_k"],
        "stopSequences": conversation.stop or None,
    }
    return {name: value for name, value in named.items() if value is not None and value is not UNSET}


# Tools and output


def _takes_tool(output: OutputFormat, model: Model) -> bool:
    """Tells whether the output's schema goes to `model` as that of a tool it must call."""
    return not model.strict or output.schema is None


def _text_format(output: OutputFormat) -> Block:
    schema: Block = {"schema": bytes(output.schema or ANY_OBJECT).decode()}
    if output.name:
        schema["name"] = output.name
    if output.description:
        schema["description"] = output.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}


def _is_forced(config: Block) -> bool:
    return "toolChoice" in config


def _tool_config(conversation: Conversation, model: Model, by_tool: OutputFormat | None, fit: Fit) -> Block | None:
    choice, tools = conversation.tool_choice, conversation.tools
    mode = choice.mode if choice is not None else "auto"
    names = choice.names if choice is not None else ()
    if choice is not None and choice.parallel is False and tools:
        fit.hint("parallel_tool_calls", "being held to one tool call at a time")
    if mode == "required":
        if not tools:
            raise Unsupported("tool_choice", "a tool call without tools")
        by_tool = None  # What is not said needs no format.
    forced = names[0] if mode == "required" and len(names) == 1 else None
    if names and forced is None:
        tools = tuple([tool for tool in tools if tool.name in names])
    if mode == "none" and by_tool is None:
        tools = ()
    if not tools:
        # Once tools have been called, Bedrock demands some.
        tools = stand_ins(conversation.turns)
    if by_tool is None and not tools:
        return None
    entries: list[Block] = []
    for index, tool in enumerate(tools):
        entries.append({"toolSpec": _tool_spec(tool, f"tools[{index}]", model, fit)})
        if tool.cache is not None and model.caches and not model.nova:
            entries.append(cache_point(tool.cache))
        elif tool.cache is not None:
            fit.hint("cache_control", "marks for the cache on tools for this model")
    config: Block = {"tools": entries}
    if by_tool is not None:
        entries.append({"toolSpec": _output_tool(by_tool)})
        # With tools of the client's, the model answers by calling any of them.
        config["toolChoice"] = {"any": {}} if conversation.tools and mode == "auto" else {"tool": {"name": JSON_TOOL}}
    elif mode == "required":
        config["toolChoice"] = {"any": {}} if forced is None else {"tool": {"name": forced}}
    return config


def _tool_spec(tool: Tool, path: str, model: Model, fit: Fit) -> Block:
    if tool.name == JSON_TOOL:
        raise Unsupported("tools", f"a tool of the name '{JSON_TOOL}', which Weebill uses itself")
    schema, lost = object_schema(tool.parameters)
    if lost:
        fit.hint(f"{path}.parameters", f"the schema's {lost} at its root")
    spec: Block = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict and model.strict:
        spec["strict"] = True
    elif tool.strict:
        fit.hint(f"{path}.strict", "tools with a strict schema for this model")
    return spec


def _output_tool(output: OutputFormat) -> Block:
    schema = ANY_OBJECT if output.schema is None else object_schema(output.schema).schema
    return {
        "name": JSON_TOOL,
        "description": output.description or "Give your answer by calling this tool.",
        "inputSchema": {"json": described(schema, output.name, None)},
    }
