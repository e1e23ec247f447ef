"""The inbound APIs as their clients use them: what is sent, and what is understood of an answer.

Written apart from Weebill's own code. A client keeps what it needs for its next request as its SDK would: `echo`
goes back into the conversation, untouched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tests.emulator.two_turn import TOOL

Json = dict[str, Any]
SYSTEM: Final = "You are brief."
QUESTION: Final = "How is the weather in Paris and London?"
SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ABOUT: Final = "The weather in a city"
LIMIT: Final = 512


@dataclass
class Called:
    """A tool call as a client sees it."""

    id: str
    name: str
    arguments: object


@dataclass
class Said:
    """An answer as a client sees it; `finish` in the API's own word, `usage` as (prompt, completion)."""

    reasoning: str = ""
    text: str = ""
    calls: list[Called] = field(default_factory=list)
    finish: str = ""
    usage: tuple[int, int] = (0, 0)
    echo: list[Json] = field(default_factory=list)


class Client(Protocol):
    """One inbound API. `finishes` are its words for "stop" and "tool_calls"."""

    finishes: tuple[str, str]

    def path(self, model: str, stream: bool) -> str:
        """Where to POST."""

    def question(self) -> list[Json]:
        """The history with the user's question."""

    def request(self, model: str, history: list[Json], stream: bool, choice: str | None) -> Json:
        """A body; `choice` is "required", "auto" or "none"."""

    def results(self, said: Said, texts: list[str]) -> list[Json]:
        """What the calls gave."""

    def whole(self, body: Json) -> Said:
        """A complete answer."""

    def streamed(self, body: str) -> Said:
        """A stream, whose framing is checked as well."""


def events(body: str) -> Iterator[tuple[str, str]]:
    """The (event, data) of server-sent events; nothing may be left over."""
    *blocks, rest = body.replace("\r\n", "\n").split("\n\n")
    assert rest == ""
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        yield fields.get("event", ""), fields["data"]


class Chat:
    finishes = ("stop", "tool_calls")

    def path(self, model: str, stream: bool) -> str:
        return "/v1/chat/completions"

    def question(self) -> list[Json]:
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]

    def request(self, model: str, history: list[Json], stream: bool, choice: str | None) -> Json:
        function = {"name": TOOL, "description": ABOUT, "parameters": SCHEMA}
        body: Json = {"model": model, "messages": history, "max_tokens": LIMIT, "stream": stream}
        body["tools"] = [{"type": "function", "function": function}]
        if stream:
            body["stream_options"] = {"include_usage": True}
        if choice is not None:
            body["tool_choice"] = choice
        return body

    def results(self, said: Said, texts: list[str]) -> list[Json]:
        return [
            {"role": "tool", "tool_call_id": call.id, "content": text}
            for call, text in zip(said.calls, texts, strict=True)
        ]

    def whole(self, body: Json) -> Said:
        [choice] = body["choices"]
        message = choice["message"]
        return Said(
            message.get("reasoning_content") or message.get("reasoning") or "",
            message["content"] or "",
            [_chat_call(call) for call in message.get("tool_calls", ())],
            choice["finish_reason"],
            _counts(body["usage"], "prompt_tokens", "completion_tokens"),
            [message],
        )

    def streamed(self, body: str) -> Said:
        *chunks, done = [data for _, data in events(body)]
        assert done == "[DONE]"
        said = Said()
        details: list[Json] = []
        calls: list[Json] = []
        for chunk in map(json.loads, chunks):
            if chunk.get("usage"):
                said.usage = _counts(chunk["usage"], "prompt_tokens", "completion_tokens")
            for choice in chunk["choices"]:
                delta = choice["delta"]
                said.text += delta.get("content") or ""
                said.reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""
                details += delta.get("reasoning_details") or ()
                for call in delta.get("tool_calls") or ():
                    if call["index"] == len(calls):
                        calls.append(call)
                    else:
                        calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
                said.finish = choice["finish_reason"] or said.finish
        said.calls = [_chat_call(call) for call in calls]
        message: Json = {"role": "assistant", "content": said.text, "reasoning_details": details}
        said.echo = [{**message, "tool_calls": calls} if calls else message]
        return said


def _chat_call(call: Json) -> Called:
    assert call["type"] == "function"
    return Called(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))


def _counts(usage: Json, prompt: str, completion: str) -> tuple[int, int]:
    assert usage.get("total_tokens", usage[prompt] + usage[completion]) == usage[prompt] + usage[completion]
    return usage[prompt], usage[completion]


class Anthropic:
    finishes = ("end_turn", "tool_use")

    def path(self, model: str, stream: bool) -> str:
        return "/v1/messages"

    def question(self) -> list[Json]:
        return [{"role": "user", "content": QUESTION}]

    def request(self, model: str, history: list[Json], stream: bool, choice: str | None) -> Json:
        body: Json = {"model": model, "system": SYSTEM, "messages": history, "max_tokens": LIMIT, "stream": stream}
        body["tools"] = [{"name": TOOL, "description": ABOUT, "input_schema": SCHEMA}]
        if choice is not None:
            body["tool_choice"] = {"type": {"required": "any"}.get(choice, choice)}
        return body

    def results(self, said: Said, texts: list[str]) -> list[Json]:
        content = [
            {"type": "tool_result", "tool_use_id": call.id, "content": text}
            for call, text in zip(said.calls, texts, strict=True)
        ]
        return [{"role": "user", "content": content}]

    def whole(self, body: Json) -> Said:
        blocks = body["content"]
        return Said(
            "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
            "".join(block["text"] for block in blocks if block["type"] == "text"),
            [Called(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
            body["stop_reason"],
            _counts(body["usage"], "input_tokens", "output_tokens"),
            [{"role": "assistant", "content": blocks}],
        )

    def streamed(self, body: str) -> Said:
        message: Json = {}
        pieces: dict[int, str] = {}
        ended = False
        opened: int | None = None
        for name, data in events(body):
            event = json.loads(data)
            kind = event["type"]
            assert name == kind
            assert not ended
            if kind == "message_start":
                message = event["message"]
            elif kind == "content_block_start":
                assert opened is None
                opened = event["index"]
                assert opened == len(message["content"])
                message["content"].append(event["content_block"])
            elif kind == "content_block_delta":
                index: int = event["index"]
                assert index == opened
                _add_delta(message["content"][index], event["delta"], pieces, index)
            elif kind == "content_block_stop":
                assert event["index"] == opened
                opened = None
            elif kind == "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
            else:
                assert kind in ("message_stop", "ping")
                ended = kind == "message_stop"
        assert ended
        for at, text in pieces.items():
            message["content"][at]["input"] = json.loads(text or "{}")
        return self.whole(message)


def _add_delta(block: Json, delta: Json, pieces: dict[int, str], index: int) -> None:
    if delta["type"] == "input_json_delta":
        pieces[index] = pieces.get(index, "") + delta["partial_json"]
        return
    name = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}[delta["type"]]
    block[name] = block.get(name, "") + delta[name]


class Gemini:
    finishes = ("STOP", "STOP")

    def path(self, model: str, stream: bool) -> str:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{method}"

    def question(self) -> list[Json]:
        return [{"role": "user", "parts": [{"text": QUESTION}]}]

    def request(self, model: str, history: list[Json], stream: bool, choice: str | None) -> Json:
        declared = {"name": TOOL, "description": ABOUT, "parametersJsonSchema": SCHEMA}
        body: Json = {
            "systemInstruction": {"parts": [{"text": SYSTEM}]},
            "contents": history,
            "tools": [{"functionDeclarations": [declared]}],
            "generationConfig": {"maxOutputTokens": LIMIT},
        }
        if choice is not None:
            mode = {"required": "ANY", "auto": "AUTO", "none": "NONE"}[choice]
            body["toolConfig"] = {"functionCallingConfig": {"mode": mode}}
        return body

    def results(self, said: Said, texts: list[str]) -> list[Json]:
        parts = [
            {"functionResponse": {"id": call.id, "name": call.name, "response": {"output": text}}}
            for call, text in zip(said.calls, texts, strict=True)
        ]
        return [{"role": "user", "parts": parts}]

    def whole(self, body: Json) -> Said:
        [candidate] = body["candidates"]
        said = Said(finish=candidate.get("finishReason", ""), echo=[candidate["content"]])
        assert candidate["content"]["role"] == "model"
        for part in candidate["content"]["parts"]:
            if "functionCall" in part:
                called = part["functionCall"]
                said.calls.append(Called(called["id"], called["name"], called["args"]))
            elif part.get("thought"):
                said.reasoning += part.get("text", "")
            else:
                said.text += part.get("text", "")
        usage = body.get("usageMetadata") or {}
        thinking = usage.get("thoughtsTokenCount", 0)
        said.usage = usage.get("promptTokenCount", 0), usage.get("candidatesTokenCount", 0) + thinking
        return said

    def streamed(self, body: str) -> Said:
        said = Said()
        for name, data in events(body):
            assert not name
            piece = self.whole(json.loads(data))
            said.reasoning += piece.reasoning
            said.text += piece.text
            said.calls += piece.calls
            said.echo += piece.echo
            said.finish, said.usage = piece.finish, piece.usage
        return said


class Responses:
    finishes = ("completed", "completed")

    def path(self, model: str, stream: bool) -> str:
        return "/v1/responses"

    def question(self) -> list[Json]:
        return [{"role": "user", "content": QUESTION}]

    def request(self, model: str, history: list[Json], stream: bool, choice: str | None) -> Json:
        tool = {"type": "function", "name": TOOL, "description": ABOUT, "parameters": SCHEMA, "strict": False}
        body: Json = {
            "model": model, "instructions": SYSTEM, "input": history, "max_output_tokens": LIMIT, "stream": stream,
            "tools": [tool], "store": False, "include": ["reasoning.encrypted_content"],
        }  # fmt: skip
        if choice is not None:
            body["tool_choice"] = choice
        return body

    def results(self, said: Said, texts: list[str]) -> list[Json]:
        return [
            {"type": "function_call_output", "call_id": call.id, "output": text}
            for call, text in zip(said.calls, texts, strict=True)
        ]

    def whole(self, body: Json) -> Said:
        assert body["object"] == "response"
        usage = _counts(body["usage"], "input_tokens", "output_tokens")
        said = Said(finish=body["status"], usage=usage, echo=body["output"])
        for item in body["output"]:
            if item["type"] == "function_call":
                said.calls.append(Called(item["call_id"], item["name"], json.loads(item["arguments"])))
            elif item["type"] == "reasoning":
                said.reasoning += "".join(part["text"] for part in (*item["summary"], *(item.get("content") or ())))
            else:
                said.text += "".join(part["text"] for part in item["content"])
        return said

    def streamed(self, body: str) -> Said:
        text, reasoning = "", ""
        arguments: dict[str, str] = {}
        done: list[Json] = []
        last: Json = {}
        for number, (name, data) in enumerate(events(body)):
            last = json.loads(data)
            assert (name, number) == (last["type"], last["sequence_number"])
            if name == "response.output_text.delta":
                text += last["delta"]
            elif name in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
                reasoning += last["delta"]
            elif name == "response.function_call_arguments.delta":
                arguments[last["item_id"]] = arguments.get(last["item_id"], "") + last["delta"]
            elif name == "response.output_item.done":
                done.append(last["item"])
        assert last["type"] in ("response.completed", "response.incomplete")
        said = self.whole(last["response"])
        assert done == said.echo
        assert (said.text, said.reasoning) == (text, reasoning)
        assert [json.loads(value) for value in arguments.values()] == [call.arguments for call in said.calls]
        return said


CLIENTS: Final[dict[str, Client]] = {
    "chat": Chat(),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "responses": Responses(),
}
