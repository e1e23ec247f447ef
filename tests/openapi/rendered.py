"""Everything that the vectors of all dialects become in OpenAI's APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tests.vectors import FOLDER
from tests.vectors.eventstream import encode_entry
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.completions import COMPLETIONS
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.failures import client_error
from weebill.gateway.translation import Bridge, failure
from weebill.providers.base import NOTHING_SENT
from weebill.providers.registry import dialect as registry_dialect
from weebill.wire.call import Call
from weebill.wire.failure import UpstreamFailure

# Vectors, and a dialect that reads them.
DIALECTS: Final = {
    "openai": "openai", "responses": "openai-responses", "anthropic": "anthropic", "gemini": "gemini",
    "bedrock": "bedrock", "cohere": "cohere", "ollama": "ollama",
}  # fmt: skip
APIS: Final[dict[str, Api]] = {"chat": CHAT, "completions": COMPLETIONS, "responses": RESPONSES}

_SCHEMA: Final = {
    "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": False
}  # fmt: skip
_CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}}}
# The least that can be asked, and as much as is shown again in an answer.
_ASKED: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "chat": (
        {"messages": [{"role": "user", "content": "Hi"}]},
        {
            "messages": [{"role": "user", "content": "Hi"}], "logprobs": True, "top_logprobs": 2, "n": 2,
            "stream_options": {"include_usage": True},
            "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": _CITY}}],
        },
    ),
    "completions": (
        {"prompt": "Hi"},
        {"prompt": "Hi", "logprobs": 2, "n": 2, "stream_options": {"include_usage": True}},
    ),
    "responses": (
        {"input": "Hi"},
        {
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}], "instructions": "Be brief.",
            "tools": [{"type": "function", "name": "get_weather", "parameters": _CITY, "strict": False}],
            "tool_choice": {"type": "function", "name": "get_weather"}, "parallel_tool_calls": False,
            "text": {"format": {"type": "json_schema", "name": "person", "schema": _SCHEMA, "strict": True}},
            "reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 100, "temperature": 0.5,
            "top_p": 0.9, "top_logprobs": 2, "include": ["message.output_text.logprobs"], "metadata": {"a": "b"},
            "user": "u", "store": False, "truncation": "disabled", "service_tier": "auto", "prompt_cache_key": "k",
        },
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Rendered:
    """What one API makes of one answer; `stream` is what follows each `data: `, "[DONE]" apart."""

    whole: dict[str, Any] | None
    error: dict[str, Any] | None
    stream: list[dict[str, Any]]
    ended: bool


def calls(api: str, *, stream: bool) -> Iterator[Call]:
    """The least and the most that can be asked of an API."""
    for asked in _ASKED[api]:
        fields = {"model": "acme/text", **asked}
        if stream:
            fields["stream"] = True
        else:
            fields.pop("stream_options", None)
        yield APIS[api].decode(json.dumps(fields).encode(), {}, "")


@cache
def answers(vectors: str) -> dict[str, dict[str, Any]]:
    """A dialect's answers by scenario."""
    found: dict[str, dict[str, Any]] = json.loads((FOLDER / f"{vectors}.json").read_bytes())["answers"]
    return found


@cache
def rendered(api: str, vectors: str, scenario: str) -> tuple[Rendered, ...]:
    """What becomes of an answer, for each request."""
    answer = answers(vectors)[scenario]
    bridge = Bridge(APIS[api], registry_dialect(DIALECTS[vectors]))
    pieces = [piece.encode() if isinstance(piece, str) else encode_entry(piece) for piece in answer.get("stream", ())]
    made = []
    for whole, streamed in zip(calls(api, stream=False), calls(api, stream=True), strict=True):
        body, error = _whole(APIS[api], bridge, whole, answer)
        events, ended = _stream(APIS[api], bridge, streamed, pieces) if pieces else (b"", True)
        made.append(
            Rendered(
                json.loads(body) if body else None,
                json.loads(error) if error else None,
                [json.loads(data) for data in _data(events) if data != b"[DONE]"],
                ended,
            )
        )
    return tuple(made)


def _whole(api: Api, bridge: Bridge, call: Call, answer: dict[str, Any]) -> tuple[bytes, bytes]:
    """The body of an answer, or that of the error that it is."""
    status, body = answer.get("status", 200), json.dumps(answer.get("body")).encode()
    if status != 200:
        return b"", api.error_body(client_error(bridge.error(call, status, body, None, "acme")))
    try:
        return bridge.decode(call, NOTHING_SENT, body).body, b""
    except UpstreamFailure as failed:
        return b"", api.error_body(client_error(failed))


def _stream(api: Api, bridge: Bridge, call: Call, pieces: list[bytes]) -> tuple[bytes, bool]:
    """The client's stream as the gateway writes it, and whether it came to its end."""
    stream = bridge.stream(call, NOTHING_SENT)
    out = b""
    try:
        for piece in pieces:
            out += stream.feed(piece)
            if stream.error is not None:
                return out + failure(api, stream, client_error(stream.error)), False
        return out + stream.finish(), True
    except UpstreamFailure as failed:
        return out + failure(api, stream, client_error(failed)), False


def _data(stream: bytes) -> list[bytes]:
    return [line.removeprefix(b"data: ") for line in stream.split(b"\n") if line.startswith(b"data: ")]
