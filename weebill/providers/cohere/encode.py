"""Requests in the format of Cohere's Chat API, version 2.

Left out because Cohere has no words for it and it does not change what is said: marks of prompt caching, names of
output formats, other models' citations and thinking in earlier answers.

Source: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import Target, Unsupported, UpstreamRequest
from weebill.providers.fit import Fit
from weebill.providers.given_images import shown_after
from weebill.providers.media import typed
from weebill.providers.object_schema import parameters_of
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
    ToolChoice,
    ToolResult,
    ToolUse,
    Turn,
)
from weebill.wire.json_values import decode_list, decode_object
from weebill.wire.openai_chat import image_url

Block = dict[str, object]

FAMILY: Final = "cohere"
PLAN: Final = "tool_plan"
"""The signature of a reasoning part that was the `tool_plan` of its message, rather than thinking."""

# The names of fields, and the least and the greatest value that Cohere takes.
_RANGES: Final[dict[str, tuple[str, float, float]]] = {
    "temperature": ("temperature", 0, 1),
    "top_k": ("k", 0, 500),
    "presence_penalty": ("presence_penalty", 0, 1),
    "frequency_penalty": ("frequency_penalty", 0, 1),
    "seed": ("seed", 0, 2**64 - 1),
}
SUPPORTED: Final = frozenset({
    "turns", "tools", "tool_choice", "output", "max_tokens", "top_p", "stop", "logprobs", "reasoning", "extra",
    *_RANGES,
})  # fmt: skip
# Cohere's own fields, for clients that know them; `documents` come before those of the messages.
_EXTRA: Final = frozenset({"documents", "citation_options", "safety_mode", "priority"})

_MIN_P: Final = 0.01
_MAX_P: Final = 0.99
_STOP_LIMIT: Final = 5
# Cohere measures thinking in tokens; the figures are those for Anthropic's models that do.
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}

_IN_RESULTS: Final = (Text, Document)
_encode: Final = msgspec.json.encode


def encode_request(conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
    """The request. Raises Unsupported."""
    documents: list[object] = []
    messages: list[Block] = []
    for turn in shown_after(paired(conversation.turns), _IN_RESULTS):
        if turn.role == "tool":
            _write_results(turn, messages)
        else:
            _write_turn(turn, messages, documents, fit)
    body: Block = {"model": target.model, "messages": messages, "stream": stream}
    if conversation.tools:
        _add_tools(conversation, body, fit)
    elif conversation.tool_choice is not None and conversation.tool_choice.mode == "required":
        raise Unsupported("tool_choice", "a tool call without tools")
    if conversation.output is not None:
        body["response_format"] = _response_format(conversation.output)
    _add_options(conversation, body, fit)
    if conversation.reasoning is not None:
        thinking = _thinking(conversation.reasoning)
        if thinking:
            body["thinking"] = thinking
    for name, raw in conversation.extra.items():
        if name not in _EXTRA:
            fit.unsupported(name, f"the field '{name}'", raw)
        elif name == "documents":
            documents = [*decode_list(raw), *documents]
        else:
            body[name] = raw
    if documents:
        body["documents"] = documents
    return UpstreamRequest(b"/v2/chat", _encode(body))


def _add_options(conversation: Conversation, body: Block, fit: Fit) -> None:
    for field, (name, least, greatest) in _RANGES.items():
        value = getattr(conversation, field)
        if value is None:
            continue
        taken = min(max(value, least), greatest)
        if taken != value:
            fit.hint(field, f"the value {value}; it takes {least} to {greatest}")
        body[name] = taken
    if conversation.top_p is not None:
        # 1, which asks for all tokens, is common and not taken; this is the nearest.
        body["p"] = min(max(conversation.top_p, _MIN_P), _MAX_P)
    if conversation.max_tokens is not None:
        body["max_tokens"] = conversation.max_tokens
    if conversation.stop:
        if len(conversation.stop) > _STOP_LIMIT:
            raise Unsupported("stop", f"more than {_STOP_LIMIT} stop sequences")
        body["stop_sequences"] = conversation.stop
    if conversation.logprobs:
        body["logprobs"] = True


def _write_results(turn: Turn, messages: list[Block]) -> None:
    for part in turn.parts:
        if not isinstance(part, ToolResult):
            raise Unsupported("turns", "anything but results in what a tool says")
        messages.append({"role": "tool", "tool_call_id": part.call_id, "content": _result(part)})


def _write_turn(turn: Turn, messages: list[Block], documents: list[object], fit: Fit) -> None:
    if turn.name is not None:
        fit.hint("name", "the name of a message's author")
    if turn.role == "assistant":
        message = _assistant(turn.parts)
        if len(message) > 1:
            messages.append(message)
        return
    role = "user" if turn.role == "user" else "system"
    content = [block for part in turn.parts if (block := _said(part, role, documents)) is not None]
    if content:
        messages.append({"role": role, "content": _content(content)})


def _content(blocks: list[Block]) -> object:
    """Content of one text as that text, which is how Cohere's own examples write it."""
    return blocks[0]["text"] if len(blocks) == 1 and blocks[0]["type"] == "text" else blocks


def _said(part: Part, role: str, documents: list[object]) -> Block | None:
    """The words of a user or the system; None for a document, which goes beside the messages for it to be cited."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if role == "system":
        raise Unsupported("turns", "anything but text in a system message")
    if isinstance(part, Image):
        return {"type": "image_url", "image_url": _image_url(part)}
    if isinstance(part, Document):
        document = _document(part)
        if not part.cite:
            return {"type": "text", "text": _joined(document)}
        documents.append({"data": document})
        return None
    raise Unsupported("turns", f"{type(part).__name__} parts in what a user says")


def _image_url(part: Image) -> Block:
    if part.url is None and part.data is None:
        raise Unsupported("turns", "images by file id")
    image: Block = {"url": part.url or image_url(typed(part))}
    if part.detail is not None:
        # It knows no more of it than "high".
        image["detail"] = "high" if part.detail == "original" else part.detail
    return image


def _document(part: Document) -> Block:
    text = part.text
    if text is None and part.data is not None and (part.media_type or "").startswith("text/"):
        text = b64decode(part.data).decode("utf-8", "replace")
    if text is None:
        raise Unsupported("turns", f"documents of type '{part.media_type}' or by reference; only those of text")
    return {"title": part.name, "text": text} if part.name else {"text": text}


def _joined(document: Block) -> str:
    return "\n".join([str(value) for value in document.values()])


def _assistant(parts: Sequence[Part]) -> Block:
    content: list[Block] = []
    calls: list[Block] = []
    citations: list[Raw] = []
    plan = ""
    for part in parts:
        if isinstance(part, Text):
            if not part.text:
                continue
            content.append({"type": "text", "text": part.text})
            citations += [cited.raw for cited in part.citations if cited.origin == FAMILY and cited.raw is not None]
        elif isinstance(part, ToolUse):
            function = {"name": part.name, "arguments": bytes(as_object(part.arguments)).decode()}
            calls.append({"id": part.id, "type": "function", "function": function})
        elif isinstance(part, Reasoning):
            if part.origin != FAMILY:
                continue
            if part.signature == PLAN:
                plan += part.text
            elif part.text:
                content.append({"type": "thinking", "thinking": part.text})
        elif isinstance(part, Refusal):
            content.append({"type": "text", "text": part.text})
        else:
            raise Unsupported("turns", f"{type(part).__name__} parts in what an assistant says")
    message: Block = {"role": "assistant"}
    if content:
        message["content"] = _content(content)
    if plan:
        message["tool_plan"] = plan
    if calls:
        message["tool_calls"] = calls
    if citations:
        message["citations"] = citations
    return message


def _result(part: ToolResult) -> object:
    content: list[Block] = []
    for piece in part.content:
        if isinstance(piece, Text):
            if part.is_error:
                content.append({"type": "document", "document": {"data": {"error": piece.text}}})
            else:
                content.append({"type": "text", "text": piece.text})
        elif isinstance(piece, Document):
            content.append({"type": "document", "document": {"data": _document(piece)}})
    return _content(content) if content else ""


def _add_tools(conversation: Conversation, body: Block, fit: Fit) -> None:
    choice = conversation.tool_choice or ToolChoice()
    if choice.parallel is False:
        fit.hint("parallel_tool_calls", "being held to one tool call at a time")
    tools = conversation.tools
    if choice.names:
        # It is not told which: what is not shown cannot be called.
        tools = tuple([tool for tool in tools if tool.name in choice.names])
        for at, tool in enumerate(conversation.tools):
            if tool.name not in choice.names:
                fit.hint(f"tools[{at}]", "tools that may not be called")
    functions: list[Block] = []
    for at, tool in enumerate(tools):
        function: Block = {"name": tool.name, "parameters": parameters_of(tool, at, fit)}
        if tool.description:
            function["description"] = tool.description
        functions.append({"type": "function", "function": function})
    body["tools"] = functions
    if any(tool.strict for tool in tools):
        # For all tools alike: the others get more than they ask for.
        body["strict_tools"] = True
    if choice.mode != "auto":
        body["tool_choice"] = choice.mode.upper()


def _response_format(output: OutputFormat) -> Block:
    if output.schema is None:
        return {"type": "json_object"}
    schema = output.schema
    if output.description:
        # There is no other place for what the format is for.
        schema = Raw(_encode({"description": output.description, **decode_object(schema)}))
    return {"type": "json_object", "json_schema": schema}


def _thinking(reasoning: ReasoningOptions) -> Block:
    if reasoning.enabled is False or reasoning.effort == "none":
        return {"type": "disabled"}
    budget = reasoning.budget_tokens or _BUDGETS.get(reasoning.effort or "")
    if budget is not None:
        return {"type": "enabled", "token_budget": budget}
    return {"type": "enabled"} if reasoning.enabled else {}
