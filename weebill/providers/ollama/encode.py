"""Requests in the format of Ollama's chat endpoint.

Left out because Ollama has no words for it and it does not change what is said: marks of prompt caching, names of
output formats, citations in earlier answers and other models' thinking.

Source: https://docs.ollama.com/api/chat and https://github.com/ollama/ollama/blob/main/api/types.go
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from weebill.providers.base import Target, Unsupported, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.object_schema import parameters_of
from weebill.providers.ollama.forced import call_format, forced, told
from weebill.providers.pairing import paired
from weebill.wire.arguments import as_object
from weebill.wire.conversation import (
    Conversation,
    Document,
    Image,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningOptions,
    Refusal,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.json_values import decode_object

Block = dict[str, object]

FAMILY: Final = "ollama"

_OPTIONS: Final = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "repetition_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
SUPPORTED: Final = frozenset({
    "turns", "tools", "tool_choice", "output", "stop", "logprobs", "top_logprobs", "reasoning", "extra",
    *_OPTIONS,
})  # fmt: skip
# Ollama's own fields, for clients that know them: of the request, and of its options.
_EXTRA: Final = frozenset({"keep_alive", "truncate", "shift"})
_EXTRA_OPTIONS: Final = frozenset(
    {"num_keep", "repeat_last_n", "typical_p"}
    | {"num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict"}
)
_THINK: Final[dict[str, bool | str]] = {
    "none": False, "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max", "max": "max",
}  # fmt: skip

_encode: Final = msgspec.json.encode


def encode_request(conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
    """The request. Raises Unsupported."""
    messages = _messages(conversation.turns, fit)
    body: Block = {"model": target.model, "messages": messages, "stream": stream}
    offered = forced(conversation)
    tools = [] if offered else _tools(conversation.tools, conversation.tool_choice or ToolChoice(), fit)
    if tools:
        body["tools"] = tools
    if offered:
        body["format"] = call_format(offered, fit)
        messages.insert(0, {"role": "system", "content": told(offered)})
    elif conversation.output is not None:
        body["format"] = _format(conversation.output)
    if conversation.reasoning is not None:
        think = _think(conversation.reasoning, fit)
        if think is not None:
            body["think"] = think
    if conversation.logprobs:
        body["logprobs"] = True
        if conversation.top_logprobs:
            body["top_logprobs"] = conversation.top_logprobs
    options: Block = {}
    for field, name in _OPTIONS.items():
        value = getattr(conversation, field)
        if value is not None:
            options[name] = value
    if conversation.stop:
        options["stop"] = conversation.stop
    for name, raw in conversation.extra.items():
        if name in _EXTRA:
            body[name] = raw
        elif name in _EXTRA_OPTIONS:
            options[name] = raw
        else:
            fit.unsupported(name, f"the field '{name}'", raw)
    if options:
        body["options"] = options
    return UpstreamRequest(b"/api/chat", _encode(body))


def _messages(turns: Sequence[Turn], fit: Fit) -> list[Block]:
    messages: list[Block] = []
    names: dict[str, str] = {}
    for turn in paired(turns):
        if turn.role == "tool":
            messages += [_result(part, names, fit) for part in turn.parts]
            continue
        if turn.name is not None:
            fit.hint("name", "the name of a message's author")
        if turn.role == "assistant":
            message = _assistant(turn.parts, names)
        else:
            message = _said(turn.parts, "user" if turn.role == "user" else "system", fit)
        if len(message) > 2 or message["content"]:
            messages.append(message)
    return messages


def _said(parts: Iterable[Part], role: str, fit: Fit) -> Block:
    """The message of a user, the system or a tool: one text, and the images beside it."""
    texts: list[str] = []
    images: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, Image):
            images.append(_image(part))
        elif isinstance(part, Document):
            texts.append(_document(part, fit))
        else:
            raise Unsupported("turns", f"{type(part).__name__} parts in the role '{role}'")
    message: Block = {"role": role, "content": "\n".join(texts)}
    if images:
        message["images"] = images
    return message


def _assistant(parts: Sequence[Part], names: dict[str, str]) -> Block:
    """The message of the model; the names of the tools that it called go into `names`, by the calls' ids."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Block] = []
    for part in parts:
        if isinstance(part, Text | Refusal):
            texts.append(part.text)
        elif isinstance(part, Reasoning):
            if part.origin == FAMILY:
                thoughts.append(part.text)
        elif isinstance(part, ToolUse):
            names[part.id] = part.name
            function = {"index": len(calls), "name": part.name, "arguments": as_object(part.arguments)}
            calls.append({"id": part.id, "function": function})
        else:
            raise Unsupported("turns", f"{type(part).__name__} parts in what an assistant says")
    message: Block = {"role": "assistant", "content": "".join(texts)}
    if thoughts:
        message["thinking"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def _result(part: Part, names: dict[str, str], fit: Fit) -> Block:
    if not isinstance(part, ToolResult):
        raise Unsupported("turns", "anything but results in what a tool says")
    message = _said(part.content, "tool", fit)
    if part.is_error:
        # Ollama's templates know no errors; this is how the models read one.
        message["content"] = f"Error: {message['content']}"
    name = part.name or names.get(part.call_id)
    if name is not None:
        message["tool_name"] = name
    message["tool_call_id"] = part.call_id
    return message


def _image(part: Image) -> str:
    if part.data is None:
        raise Unsupported("turns", "images by URL or file id; only those in the request")
    return part.data


def _document(part: Document, fit: Fit) -> str:
    if part.cite:
        fit.hint("citations", "citations of a document in the prompt")
    text = part.text
    if text is None and part.data is not None and (part.media_type or "").startswith("text/"):
        text = b64decode(part.data).decode("utf-8", "replace")
    if text is None:
        raise Unsupported("turns", f"documents of type '{part.media_type}' or by reference; only those of text")
    return f"{part.name}\n{text}" if part.name else text


def _tools(tools: Sequence[Tool], choice: ToolChoice, fit: Fit) -> list[Block]:
    if choice.mode == "required":
        fit.demand("tool_choice", "being made to call a tool")
    if choice.mode == "none":
        return []
    if choice.parallel is False and tools:
        fit.hint("parallel_tool_calls", "being held to one tool call at a time")
    functions: list[Block] = []
    for at, tool in enumerate(tools):
        if choice.names and tool.name not in choice.names:
            fit.hint(f"tools[{at}]", "tools that may not be called")
            continue
        if tool.strict:
            fit.hint(f"tools[{at}].strict", "tools with a strict schema")
        function: Block = {"name": tool.name, "parameters": parameters_of(tool, at, fit)}
        if tool.description:
            function["description"] = tool.description
        functions.append({"type": "function", "function": function})
    return functions


def _format(output: OutputFormat) -> object:
    if output.schema is None:
        return "json"
    if not output.description:
        return output.schema
    # There is no other place for what the format is for.
    return {"description": output.description, **decode_object(output.schema)}


def _think(reasoning: ReasoningOptions, fit: Fit) -> bool | str | None:
    if reasoning.enabled is False or reasoning.budget_tokens == 0:
        return False
    if reasoning.budget_tokens is not None:
        fit.hint("reasoning", "a limit of reasoning tokens; it takes an effort")
    if reasoning.effort is not None:
        return _THINK[reasoning.effort]
    return reasoning.enabled or (True if reasoning.budget_tokens else None)
