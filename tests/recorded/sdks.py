"""Answers as the official SDKs read and accumulate them, and the request with which each goes on.

The SDK is given the bytes of an answer by a transport in process. What it made of them goes back as it is, as an
application would append it to its history: `Said.next` is the body of that request.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Protocol

import anthropic
import httpx
import httpx2
import openai
from google import genai
from google.genai import types

HELLO: Final = "hello"
RESULT: Final = "the result"
MORE: Final = "go on"
_URL: Final = "http://127.0.0.1:9"
_SSE: Final = {"content-type": "text/event-stream"}
_JSON: Final = {"content-type": "application/json"}


@dataclass
class Said:
    """An answer as the SDK gives it to its application; `finish` in the API's own word."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, object]] = field(default_factory=list)
    finish: str | None = None
    next: bytes = b""


class Wire:
    """The other end: answers the first request with `answer`, keeps the body of the second."""

    def __init__(self) -> None:
        self.answer = b""
        self.headers = _JSON
        self.bodies: list[bytes] = []

    def put(self, answer: bytes, *, stream: bool) -> None:
        self.answer, self.headers, self.bodies = answer, _SSE if stream else _JSON, []

    def take(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        self.bodies.append(body)
        return (200, self.answer, self.headers) if len(self.bodies) == 1 else (418, b"{}", _JSON)

    def httpx(self, request: httpx.Request) -> httpx.Response:
        status, content, headers = self.take(request.content)
        return httpx.Response(status, content=content, headers=headers)

    def httpx2(self, request: httpx2.Request) -> httpx2.Response:
        status, content, headers = self.take(request.content)
        return httpx2.Response(status, content=content, headers=headers)

    def second(self, send: Any) -> bytes:
        """The body that `send` sends, whatever comes of it."""
        with suppress(openai.APIStatusError, anthropic.APIStatusError, genai.errors.APIError):
            send()
        return self.bodies[1]


class Sdk(Protocol):
    """The SDK of one API."""

    def read(self, body: bytes, *, stream: bool, echo: bool) -> Said: ...


class Chat:
    def __init__(self) -> None:
        self.wire = Wire()
        self.client = _openai(self.wire)

    def read(self, body: bytes, *, stream: bool, echo: bool) -> Said:
        self.wire.put(body, stream=stream)
        hello: list[Any] = [{"role": "user", "content": HELLO}]
        create = self.client.chat.completions
        if stream:
            with create.stream(model="m", messages=hello, stream_options={"include_usage": True}) as events:
                # The helper raises at the end of an answer that was cut; what it has accumulated is there all the same.
                with suppress(openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
                    events.until_done()
                choice: Any = events.current_completion_snapshot.choices[0]
        else:
            choice = create.create(model="m", messages=hello).choices[0]
        message = choice.message
        extra = message.model_extra or {}
        said = Said(
            _pieces(message.content, "text") + (message.refusal or ""),
            _reasoning(extra) or _pieces(message.content, "thinking"),
            [_chat_call(call) for call in message.tool_calls or ()] + _older_call(message.function_call),
            choice.finish_reason,
        )
        after: list[Any] = [
            {"role": "tool", "tool_call_id": call.id, "content": RESULT} for call in message.tool_calls or ()
        ]
        if echo:
            history = [*hello, message, *after, *hello]
            said.next = self.wire.second(lambda: create.create(model="m", messages=history))
        return said


def _openai(wire: Wire) -> openai.OpenAI:
    http = httpx2.Client(transport=httpx2.MockTransport(wire.httpx2))
    return openai.OpenAI(base_url=_URL, api_key="k", max_retries=0, http_client=http)


def _reasoning(extra: dict[str, Any]) -> str:
    details = extra.get("reasoning_details") or ()
    told = "".join(detail.get("text") or detail.get("summary") or "" for detail in details)
    return extra.get("reasoning_content") or extra.get("reasoning") or told


def _pieces(content: Any, kind: str) -> str:
    """What is of a kind in a message's content; Mistral's is a list, which the SDK passes as it is."""
    if isinstance(content, list):
        return "".join(_pieces(part[kind], "text") for part in content if part["type"] == kind)
    return content if content and kind == "text" else ""


def _chat_call(call: Any) -> tuple[str, object]:
    if call.type == "custom":
        return call.custom.name, call.custom.input
    return call.function.name, _loads(call.function.arguments)


def _older_call(call: Any) -> list[tuple[str, object]]:
    return [(call.name, _loads(call.arguments))] if call is not None and call.name else []


class Completions:
    def __init__(self) -> None:
        self.wire = Wire()
        self.client = _openai(self.wire)

    def read(self, body: bytes, *, stream: bool, echo: bool) -> Said:
        self.wire.put(body, stream=stream)
        if not stream:
            choice = self.client.completions.create(model="m", prompt=HELLO).choices[0]
            return Said(choice.text, finish=choice.finish_reason)
        said = Said()
        for chunk in self.client.completions.create(model="m", prompt=HELLO, stream=True):
            for choice in chunk.choices:
                said.text += choice.text or ""
                said.finish = choice.finish_reason or said.finish
        return said


class Responses:
    def __init__(self) -> None:
        self.wire = Wire()
        self.client = _openai(self.wire)

    def read(self, body: bytes, *, stream: bool, echo: bool) -> Said:
        self.wire.put(body, stream=stream)
        if stream:
            with self.client.responses.stream(model="m", input=HELLO) as events:
                # `get_final_response` knows completed ones alone.
                *_, last = events
                response: Any = getattr(last, "response", None)
        else:
            response = self.client.responses.create(model="m", input=HELLO)
        said = Said(finish=response.status)
        results: list[Any] = []
        for item in response.output:
            if item.type == "message":
                said.text += "".join(getattr(part, "text", "") or getattr(part, "refusal", "") for part in item.content)
            elif item.type == "reasoning":
                said.reasoning += "".join(part.text for part in (*item.summary, *(item.content or ())))
            elif item.type == "function_call":
                said.calls.append((item.name, _loads(item.arguments)))
                results.append({"type": "function_call_output", "call_id": item.call_id, "output": RESULT})
        hello: Any = {"role": "user", "content": HELLO}
        if echo:
            history = [hello, *response.output, *results, hello]
            said.next = self.wire.second(lambda: self.client.responses.create(model="m", input=history))
        return said


class Messages:
    def __init__(self) -> None:
        self.wire = Wire()
        http = httpx2.Client(transport=httpx2.MockTransport(self.wire.httpx2))
        self.client = anthropic.Anthropic(base_url=_URL, api_key="k", max_retries=0, http_client=http)

    def read(self, body: bytes, *, stream: bool, echo: bool) -> Said:
        self.wire.put(body, stream=stream)
        hello: list[Any] = [{"role": "user", "content": HELLO}]
        if stream:
            with self.client.messages.stream(model="m", max_tokens=99, messages=hello) as events:
                for _ in events:
                    pass
                message: Any = events.get_final_message()
        else:
            message = self.client.messages.create(model="m", max_tokens=99, messages=hello)
        said = Said(finish=message.stop_reason)
        results: list[Any] = []
        for block in message.content:
            if block.type == "text":
                said.text += block.text
            elif block.type == "thinking":
                said.reasoning += block.thinking
            elif block.type == "tool_use":
                said.calls.append((block.name, block.input))
                results.append({"type": "tool_result", "tool_use_id": block.id, "content": RESULT})
        after = {"role": "user", "content": [*results, {"type": "text", "text": MORE}]}
        if echo:
            history = [*hello, {"role": "assistant", "content": message.content}, after]
            create = self.client.messages.create
            said.next = self.wire.second(lambda: create(model="m", max_tokens=99, messages=history))
        return said


class Gemini:
    def __init__(self) -> None:
        self.wire = Wire()
        http = httpx.Client(transport=httpx.MockTransport(self.wire.httpx))
        options = types.HttpOptions(base_url=_URL, httpx_client=http)
        self.client = genai.Client(api_key="k", http_options=options)

    def read(self, body: bytes, *, stream: bool, echo: bool) -> Said:
        self.wire.put(body, stream=stream)
        manual = types.AutomaticFunctionCallingConfig(disable=True)
        chat = self.client.chats.create(
            model="m", config=types.GenerateContentConfig(automatic_function_calling=manual)
        )
        chunks = list(chat.send_message_stream(HELLO)) if stream else [chat.send_message(HELLO)]
        said = Said()
        results: list[Any] = []
        for chunk in chunks:
            if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason is not None:
                said.finish = chunk.prompt_feedback.block_reason.name
            for candidate in (chunk.candidates or ())[:1]:
                said.finish = candidate.finish_reason.name if candidate.finish_reason else said.finish
                for part in (candidate.content.parts if candidate.content else None) or ():
                    call = part.function_call
                    if call is not None:
                        said.calls.append((call.name or "", call.args or {}))
                        answer = types.FunctionResponse(id=call.id, name=call.name, response={"output": RESULT})
                        results.append(types.Part(function_response=answer))
                    elif part.thought:
                        said.reasoning += part.text or ""
                    else:
                        said.text += part.text or ""
        # The SDK cannot send a call back that came in pieces, except to the other of Google's two APIs.
        if echo:
            with suppress(ValueError):
                said.next = self.wire.second(lambda: chat.send_message(results or [types.Part(text=MORE)]))
        return said


def _loads(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


@cache
def sdk(api: str) -> Sdk:
    """The SDK that speaks an API."""
    known: dict[str, type[Sdk]] = {
        "chat": Chat, "completions": Completions, "responses": Responses, "anthropic": Messages, "gemini": Gemini,
    }  # fmt: skip
    return known[api]()


# Ids that Weebill makes, and the time.
_MADE: Final = re.compile(rb"\b(?:[a-z]+[-_])?(?:[0-9a-f]{32}|[0-9a-f]{24})\b")
_NOW: Final = re.compile(rb'("(?:created|created_at|completed_at)": ?)[0-9]+')
_READ: Final[dict[tuple[str, bool, bytes], Said]] = {}


def _alike(body: bytes) -> bytes:
    """The answer with its ids numbered in the order of their appearance: the same for all that differ in them alone."""
    ids: dict[bytes, bytes] = {}
    numbered = _MADE.sub(lambda found: ids.setdefault(found[0], b"#%d" % len(ids)), body)
    return _NOW.sub(rb"\1", numbered)


def read(api: str, body: bytes, *, stream: bool, echo: bool = False) -> Said:
    """The answer as the API's SDK reads it, with `echo` the next turn as it sends it. The same is read once."""
    key = api, stream, _alike(body)
    if echo or key not in _READ:
        _READ[key] = sdk(api).read(body, stream=stream, echo=echo)
    return _READ[key]
