"""What a provider reads in a request, dialect by dialect; apart from Weebill's own code, so that it can judge it.

Only what the conversations of these tests have is read. What the provider would refuse raises BadRequestError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

Body = dict[str, Any]


class BadRequestError(Exception):
    """The provider would refuse this, and says why."""


@dataclass
class Call:
    """A tool call in the history; `signature` is Gemini's."""

    id: str
    name: str
    arguments: object
    signature: str | None = None


@dataclass
class Seen:
    """A request. `results` are by call id, `choice` is "auto" where the request says nothing of it.

    `in_text` is whether a call is to be written as text, for the answer is held to that form.
    """

    system: str = ""
    users: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    tools: dict[str, object] = field(default_factory=dict)
    custom: set[str] = field(default_factory=set)
    choice: str = "auto"
    calls: list[Call] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    thoughts: list[str] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)
    limit: int | None = None
    in_text: bool = False

    def answer(self, call_id: str, text: str) -> None:
        """A result. Raises BadRequestError if it answers no call, or one that is answered."""
        if call_id not in [call.id for call in self.calls]:
            raise BadRequestError(f"no call {call_id!r} for this result")
        if call_id in self.results:
            raise BadRequestError(f"two results for {call_id!r}")
        self.results[call_id] = text

    def check(self) -> None:
        """Raises BadRequestError unless every call is answered and what is to be signed is."""
        open_calls = [call.id for call in self.calls if call.id not in self.results]
        if open_calls:
            raise BadRequestError(f"no results for {open_calls}")


def seen(dialect: str, body: Body) -> Seen:
    """What a request says. Raises BadRequestError for what the provider would refuse."""
    try:
        result = _READERS[dialect](body)
    except (AttributeError, KeyError, TypeError, ValueError) as malformed:
        raise BadRequestError(f"not understood: {malformed!r}") from malformed
    result.check()
    return result


def _require(is_so: object, problem: str) -> None:
    if not is_so:
        raise BadRequestError(problem)


def _text(content: object) -> str:
    """A string, or the text of blocks."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    assert isinstance(content, list)
    return "".join(block["text"] for block in content if block.get("type", "text") in _TEXTS)


_TEXTS: Final = ("text", "input_text", "output_text")


def _chat(body: Body) -> Seen:
    result = Seen(limit=body.get("max_completion_tokens", body.get("max_tokens")))
    for message in body["messages"]:
        role = message["role"]
        if role in ("system", "developer"):
            result.system += _text(message["content"])
        elif role == "user":
            result.users.append(_text(message["content"]))
        elif role == "tool":
            result.answer(message["tool_call_id"], _text(message["content"]))
        else:
            result.said.append(_text(message.get("content")))
            for call in message.get("tool_calls") or ():
                _require(call["type"] == "function", "the type of a call")
                called = call["function"]
                result.calls.append(Call(call["id"], called["name"], json.loads(called["arguments"])))
            for detail in message.get("reasoning_details") or ():
                result.thoughts += [detail["text"]] if detail.get("text") else []
                result.opaque += [detail[name] for name in ("signature", "data") if detail.get(name)]
            result.thoughts += [message["reasoning_content"]] if message.get("reasoning_content") else []
            if isinstance(message.get("content"), list):
                result.thoughts += [
                    _text(each["thinking"]) for each in message["content"] if each["type"] == "thinking"
                ]
    for tool in body.get("tools", ()):
        result.tools[tool["function"]["name"]] = tool["function"].get("parameters")
    choice = body.get("tool_choice", "auto")
    result.choice = choice if isinstance(choice, str) else choice["type"]
    return result


# Those of ChatCompletionRequest in Mistral's own client library, 3.7.0.
_MISTRALS_FIELDS = {
    "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "max_tokens", "temperature", "top_p", "top_k",
    "min_tokens", "stream", "stop", "random_seed", "response_format", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "n", "reasoning_effort", "logprobs", "top_logprobs", "prompt_logprobs", "top_prompt_logprobs",
    "metadata", "prediction", "prompt_mode", "guardrails", "prompt_cache_key", "service_tier", "safe_prompt",
}  # fmt: skip
_MISTRALS_IN_MESSAGES = {"role", "content", "tool_calls", "tool_call_id", "name", "prefix"}


def check_mistral(body: Body) -> None:
    """Raises BadRequestError for what Mistral's API refuses: fields that it does not know, long ids of calls."""
    _require(set(body) <= _MISTRALS_FIELDS, f"the fields {set(body) - _MISTRALS_FIELDS}")
    for message in body["messages"]:
        _require(set(message) <= _MISTRALS_IN_MESSAGES, f"the message's fields {set(message) - _MISTRALS_IN_MESSAGES}")
        _require(message["role"] in ("system", "user", "assistant", "tool"), f"the role {message['role']}")
        for given in (message.get("tool_call_id"), *(call["id"] for call in message.get("tool_calls") or ())):
            _require(given is None or re.fullmatch("[a-zA-Z0-9]{9}", given) is not None, f"a call's id, {given}")


# Those that the client runs, and some that the provider does.
_RESPONSES_TOOLS: Final = ("function", "custom", "local_shell", "namespace", "tool_search", "web_search")


def _responses(body: Body) -> Seen:
    result = Seen(system=body.get("instructions") or "", limit=body.get("max_output_tokens"))
    items = body["input"]
    if isinstance(items, str):
        items = [{"type": "message", "role": "user", "content": items}]
    tools = list(body.get("tools") or ())
    for item in items:
        kind = item.get("type", "message")
        if kind == "additional_tools":
            tools += item["tools"]
        elif kind == "function_call":
            result.calls.append(Call(item["call_id"], item["name"], json.loads(item["arguments"])))
        elif kind == "custom_tool_call":
            result.calls.append(Call(item["call_id"], item["name"], item["input"]))
        elif kind in ("function_call_output", "custom_tool_call_output"):
            result.answer(item["call_id"], _text(item["output"]))
        elif kind == "reasoning":
            result.thoughts += [summary["text"] for summary in item["summary"]]
            result.opaque += [item["encrypted_content"]] if item.get("encrypted_content") else []
        elif item["role"] in ("system", "developer"):
            result.system += _text(item["content"])
        elif item["role"] == "user":
            result.users.append(_text(item["content"]))
        else:
            result.said.append(_text(item["content"]))
    for tool in tools:
        kind = tool["type"]
        _require(kind in _RESPONSES_TOOLS, f"the type of a tool, {kind}")
        for each in tool["tools"] if kind == "namespace" else (tool,):
            result.tools[each.get("name", kind)] = each.get("parameters")
            result.custom |= {each["name"]} if each["type"] == "custom" else set()
    choice = body.get("tool_choice") or "auto"
    result.choice = choice if isinstance(choice, str) else choice["type"]
    return result


def _anthropic(body: Body) -> Seen:
    _require(isinstance(body.get("max_tokens"), int), "max_tokens: Field required")
    result = Seen(system=_text(body.get("system")), limit=body["max_tokens"])
    previous = ""
    for message in body["messages"]:
        role = message["role"]
        _require(role in ("user", "assistant", "system"), f"the role {role!r}")
        content = message["content"]
        if role == "system":  # the newer models take instructions between the turns
            result.system += _text(content)
            continue
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        _require(blocks, "content: empty")
        if previous == "assistant" and role == "user":
            kinds = [block["type"] for block in blocks]
            _require(kinds == sorted(kinds, key="tool_result".__ne__), "tool_result blocks must come first")
        previous = role
        for block in blocks:
            kind = block["type"]
            if kind == "text":
                _require(block["text"], "text content blocks must be non-empty")
                (result.users if role == "user" else result.said).append(block["text"])
            elif kind == "tool_use":
                result.calls.append(Call(block["id"], block["name"], block["input"]))
            elif kind == "tool_result":
                result.answer(block["tool_use_id"], _text(block.get("content")))
            elif kind == "thinking":
                result.thoughts.append(block["thinking"])
                result.opaque.append(block["signature"])
            elif kind == "redacted_thinking":
                result.opaque.append(block["data"])
            else:
                raise BadRequestError(f"a block of type {kind!r}")
    for tool in body.get("tools", ()):
        result.tools[tool["name"]] = tool["input_schema"]
    result.choice = _ANTHROPIC_CHOICES[body.get("tool_choice", {"type": "auto"})["type"]]
    return result


_ANTHROPIC_CHOICES: Final = {"auto": "auto", "any": "required", "tool": "named", "none": "none"}


def _gemini(body: Body) -> Seen:
    config = body.get("generationConfig") or {}
    result = Seen(limit=config.get("maxOutputTokens"))
    result.system = "".join(part["text"] for part in (body.get("systemInstruction") or {"parts": ()})["parts"])
    due = 0  # the calls in the model's contents since the user's last
    for content in body["contents"]:
        role, parts = content.get("role", "user"), content["parts"]
        _require(role in ("user", "model"), f"the role {role!r}")
        calls = 0
        for part in parts:
            if "functionCall" in part:
                calls += 1
                called, signature = part["functionCall"], part.get("thoughtSignature")
                if signature is not None and not signature.startswith("skip_") and signature != _DUMMY:
                    result.opaque.append(signature)
                call_id = called.get("id") or f"#{len(result.calls)}"
                result.calls.append(Call(call_id, called["name"], called.get("args", {}), signature))
            elif "functionResponse" in part:
                given = part["functionResponse"]
                answer = given["response"].get("output", given["response"])
                call_id = given.get("id") or next(
                    call.id for call in result.calls if call.name == given["name"] and call.id not in result.results
                )
                named = next((call.name for call in result.calls if call.id == call_id), None)
                _require(named == given["name"], "a functionResponse of another name than its functionCall")
                result.answer(call_id, answer if isinstance(answer, str) else json.dumps(answer))
            elif part.get("thought"):
                result.thoughts.append(part["text"])
                result.opaque += [part["thoughtSignature"]] if "thoughtSignature" in part else []
            else:
                (result.users if role == "user" else result.said).append(part["text"])
                result.opaque += [part["thoughtSignature"]] if "thoughtSignature" in part else []
        answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
        if role == "user" and answers:
            # Which Google's own program does not keep to: https://github.com/google-gemini/gemini-cli/issues/4217
            _require(len(answers) == due, "as many functionResponse parts as functionCall parts in one turn")
        due = due + calls if role == "model" else 0
    for tool in body.get("tools", ()):
        for declared in tool.get("functionDeclarations", ()):
            result.tools[declared["name"]] = declared.get("parametersJsonSchema") or declared.get("parameters")
    mode = body.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode", "AUTO")
    result.choice = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}[mode]
    return result


_DUMMY: Final = "context_engineering_is_the_way_to_go"


def _bedrock(body: Body) -> Seen:
    _require("model" not in body, "model: extraneous key")
    _require("stream" not in body, "stream: extraneous key")
    result = Seen(limit=body.get("inferenceConfig", {}).get("maxTokens"))
    result.system = "".join(block["text"] for block in body.get("system", ()) if "cachePoint" not in block)
    previous = ""
    for message in body["messages"]:
        role = message["role"]
        _require(role != previous, "roles must alternate")
        previous = role
        for block in message["content"]:
            [(kind, value)] = block.items()
            if kind == "text":
                _require(value.strip(), "a blank text")
                (result.users if role == "user" else result.said).append(value)
            elif kind == "toolUse":
                result.calls.append(Call(value["toolUseId"], value["name"], value["input"]))
            elif kind == "toolResult":
                result.answer(value["toolUseId"], "".join(piece["text"] for piece in value["content"]))
            elif kind == "reasoningContent":
                thought = value.get("reasoningText", {})
                result.thoughts += [thought["text"]] if thought else []
                result.opaque += [thought["signature"]] if "signature" in thought else []
            else:
                _require(kind == "cachePoint", f"a block of type {kind!r}")
    config = body.get("toolConfig")
    _require(config is not None or not result.calls, "toolConfig is required once tools were called")
    for tool in (config or {}).get("tools", ()):
        if "cachePoint" in tool:
            continue
        result.tools[tool["toolSpec"]["name"]] = tool["toolSpec"]["inputSchema"]["json"]
    [choice] = (config or {}).get("toolChoice", {"auto": {}})
    result.choice = {"auto": "auto", "any": "required", "tool": "named"}[choice]
    return result


def _cohere(body: Body) -> Seen:
    result = Seen(limit=body.get("max_tokens"))
    for message in body["messages"]:
        role, content = message["role"], message.get("content")
        if role == "system":
            result.system += _text(content)
        elif role == "user":
            result.users.append(_text(content))
        elif role == "tool":
            result.answer(message["tool_call_id"], _text(content))
        else:
            result.said.append(_text(content))
            if isinstance(content, list):
                result.thoughts += [block["thinking"] for block in content if block["type"] == "thinking"]
            for call in message.get("tool_calls") or ():
                called = call["function"]
                result.calls.append(Call(call["id"], called["name"], json.loads(called["arguments"])))
    for tool in body.get("tools", ()):
        result.tools[tool["function"]["name"]] = tool["function"]["parameters"]
    result.choice = body.get("tool_choice", "AUTO").lower()
    return result


def _ollamas_messages(body: Body) -> list[Body]:
    """Those of a chat; or of a prompt."""
    if "messages" in body:
        return list(body["messages"])
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    return [*system, {"role": "user", "content": body["prompt"]}]


def _ollama(body: Body) -> Seen:
    result = Seen(limit=body.get("options", {}).get("num_predict"))
    for message in _ollamas_messages(body):
        role, content = message["role"], message.get("content", "")
        _require(isinstance(content, str), "content is a string")
        if role == "system":
            result.system += content
        elif role == "user":
            result.users.append(content)
        elif role == "tool":
            # Ollama's own clients give no ids, and LangChain's no names either: what is there tells, and the order.
            name, given = message.get("tool_name"), message.get("tool_call_id")
            open_calls = [call for call in result.calls if call.id not in result.results]
            fitting = (call for call in open_calls if name in (None, call.name) and given in (None, call.id))
            called = next(fitting, None)
            _require(called is not None, "a result as that of a call")
            assert called is not None
            result.answer(called.id, content)
        else:
            result.said.append(content)
            result.thoughts += [message["thinking"]] if message.get("thinking") else []
            for call in message.get("tool_calls") or ():
                called_now = call["function"]
                call_id = call.get("id") or f"call_{len(result.calls)}"
                result.calls.append(Call(call_id, called_now["name"], called_now["arguments"]))
    for tool in body.get("tools", ()):
        result.tools[tool["function"]["name"]] = tool["function"]["parameters"]
    form = body.get("format")
    if isinstance(form, dict):
        for each in form.get("anyOf", [form]):
            name = each.get("properties", {}).get("name", {}).get("const")
            if name is not None and "arguments" in each["required"]:
                _require(name in result.system, "a prompt that tells of what the form names")
                result.tools[name] = form["$defs"][each["properties"]["arguments"]["$ref"].removeprefix("#/$defs/")]
                result.choice, result.in_text = "required", True
    return result


_READERS: Final[dict[str, Callable[[Body], Seen]]] = {
    "openai": _chat,
    "azure": _chat,
    "mistral": _chat,
    "cloudflare": _chat,
    "huggingface": _chat,
    "openai-responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "vertex": _gemini,
    "bedrock": _bedrock,
    "cohere": _cohere,
    "ollama": _ollama,
}
