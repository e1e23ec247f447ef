"""A client: one request for `auto`, its answer and how it was routed."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from bench.everyday.items import Item
from bench.proc import BenchError
from weebill.factory.checkers import Answer, Call
from weebill.factory.tasks import Message

_PATH: Final = "/v1/chat/completions"
_TIMEOUT_S: Final = 600
_ROUTED: Final = re.compile(r"auto:(\w+)(?:->(\w+))?\((.*)\)\Z")
_CHECK: Final = "check="


class Routed(NamedTuple):
    """The tier that answered, the reason, and the check that a smaller tier's answer failed, "" if none did."""

    tier: str
    why: str
    check: str = ""


class Reply(NamedTuple):
    """An answer. `first_s` is the time to its first text, for a stream; `total_s` that to its end."""

    answer: Answer
    routed: Routed
    request_id: str
    first_s: float | None
    total_s: float


class _Body(msgspec.Struct, omit_defaults=True):
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    stream: bool = False
    tools: tuple[msgspec.Raw, ...] = ()
    response_format: msgspec.Raw | None = None


class _Function(msgspec.Struct):
    name: str
    arguments: str = "{}"


class _Called(msgspec.Struct):
    function: _Function


class _Message(msgspec.Struct):
    content: str | None = None
    tool_calls: list[_Called] | None = None


class _Choice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    delta: _Message = msgspec.field(default_factory=_Message)


class _Reply(msgspec.Struct):
    choices: list[_Choice] = []


_decode = msgspec.json.Decoder(_Reply).decode


def routed(header: str) -> Routed:
    """Returns what the header `x-weebill-route` says of the tiers. Raises BenchError."""
    found = _ROUTED.search(header)
    if found is None:
        raise BenchError(f"the route names no tier: {header}")
    first, then, why = found.groups()
    return Routed(then or first, why, why.removeprefix(_CHECK) if then and why.startswith(_CHECK) else "")


def ask(port: int, key: str, item: Item) -> Reply:
    """Returns the answer of `auto`. Raises BenchError."""
    body = _Body(
        "auto", item.messages, item.max_tokens, 0.0, item.streams, item.tools, item.output if item.output else None
    )
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        began, first = time.perf_counter(), None
        connection.request("POST", _PATH, msgspec.json.encode(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise BenchError(f"{item.id}: {response.status} {response.read(500).decode(errors='replace')}")
        if not item.streams:
            message = _decode(response.read()).choices[0].message
            calls = tuple(Call(each.function.name, each.function.arguments) for each in message.tool_calls or ())
            answer = Answer(message.content or "", calls)
        else:
            pieces = []
            for piece in _pieces(response):
                first = first or time.perf_counter() - began
                pieces.append(piece)
            answer = Answer("".join(pieces))
        total = time.perf_counter() - began
    finally:
        connection.close()
    way = routed(response.headers["x-weebill-route"])
    return Reply(answer, way, response.headers["x-request-id"], first, total)


def _pieces(response: http.client.HTTPResponse) -> Iterator[str]:
    for line in response:
        if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
            for choice in _decode(line[6:]).choices:
                if choice.delta.content:
                    yield choice.delta.content
