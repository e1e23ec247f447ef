"""What translation costs: every inbound API to every dialect, in process, on one core.

A request that offers a tool and continues a conversation is translated, and an answer that calls the tool is translated
back; a stream is fed one event at a time. The answers are the tests' vectors (`tests/vectors`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from matplotlib.figure import Figure as Canvas
from rich.table import Table

from tests.vectors import FOLDER
from tests.vectors.eventstream import encode_entry
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.base import Api
from weebill.apis.chat.api import CHAT
from weebill.apis.gemini.api import GEMINI
from weebill.apis.responses.api import RESPONSES
from weebill.gateway.translation import translator
from weebill.providers.base import NOTHING_SENT, Target, Translator
from weebill.providers.registry import relay
from weebill.wire.call import Call

REQUEST_TARGET_US: Final = 60.0
CHUNK_TARGET_US: Final = 12.0
_SCENARIO: Final = "tool-one"
_STREAMED: Final = "text"
_FIRST_WORD: Final = b"Hello"
_SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_SYSTEM: Final = "You are a helpful assistant who answers briefly."
_QUESTION: Final = "What is the weather in Paris, and shall I take an umbrella when I go out this afternoon?"


class Pair(msgspec.Struct, frozen=True):
    """One API and one dialect. Times are microseconds; `relayed` says that bytes pass through."""

    api: str
    dialect: str
    relayed: bool
    request_us: float
    added_us: float
    chunk_us: float


class _Answer(msgspec.Struct):
    """Bedrock's streams hold objects, to be framed; the others' are text."""

    body: msgspec.Raw = msgspec.Raw(b"null")
    stream: list[str | dict[str, object]] = []


class _Vectors(msgspec.Struct):
    answers: dict[str, _Answer]


# The same request in each API's words, and the path's tail where that says the model.
_REQUESTS: Final[dict[str, tuple[Api, dict[str, object], str]]] = {
    "chat": (CHAT, {
        "model": "m", "max_tokens": 200, "temperature": 0.5,
        "messages": [
            {"role": "system", "content": _SYSTEM}, {"role": "user", "content": "Hello."},
            {"role": "assistant", "content": "Hello there."}, {"role": "user", "content": _QUESTION},
        ],
        "tools": [{"type": "function", "function": {
            "name": "get_weather", "description": "The weather.", "parameters": _SCHEMA}}],
    }, ""),
    "responses": (RESPONSES, {
        "model": "m", "max_output_tokens": 200, "temperature": 0.5, "instructions": _SYSTEM, "store": False,
        "input": [
            {"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello there."},
            {"role": "user", "content": _QUESTION},
        ],
        "tools": [{"type": "function", "name": "get_weather", "description": "The weather.", "parameters": _SCHEMA,
                   "strict": False}],
    }, ""),
    "anthropic": (ANTHROPIC, {
        "model": "m", "max_tokens": 200, "temperature": 0.5, "system": _SYSTEM,
        "messages": [
            {"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello there."},
            {"role": "user", "content": _QUESTION},
        ],
        "tools": [{"name": "get_weather", "description": "The weather.", "input_schema": _SCHEMA}],
    }, ""),
    "gemini": (GEMINI, {
        "systemInstruction": {"parts": [{"text": _SYSTEM}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hello."}]}, {"role": "model", "parts": [{"text": "Hello there."}]},
            {"role": "user", "parts": [{"text": _QUESTION}]},
        ],
        "tools": [{"functionDeclarations": [
            {"name": "get_weather", "description": "The weather.", "parametersJsonSchema": _SCHEMA}]}],
        "generationConfig": {"maxOutputTokens": 200, "temperature": 0.5},
    }, "m:{method}"),
}  # fmt: skip
# dialect -> (its vectors, the model's name that its quirks go by)
_DIALECTS: Final = {
    "openai": ("openai", "gpt-4o"),
    "openai-responses": ("responses", "gpt-4o"),
    "anthropic": ("anthropic", "claude-sonnet-4-5"),
    "gemini": ("gemini", "gemini-2.5-flash"),
    "bedrock": ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "cohere": ("cohere", "command-a-03-2025"),
    "ollama": ("ollama", "llama3.2"),
}

PAIRS: Final = len(_REQUESTS) * len(_DIALECTS)


def measure_translation(rounds: int, tick: Callable[[], None]) -> list[Pair]:
    """Every pair; the median of `rounds` for each figure."""
    found = []
    for name, (api, body, tail) in _REQUESTS.items():
        for dialect, (vectors, model) in _DIALECTS.items():
            found.append(_pair(name, api, body, tail, dialect, _vectors(vectors), Target(model=model), rounds))
            tick()
    return found


def _pair(
    name: str,
    api: Api,
    body: dict[str, object],
    tail: str,
    dialect: str,
    vectors: _Vectors,
    target: Target,
    rounds: int,
) -> Pair:
    translate = translator(api, dialect, frozenset({dialect}))
    whole = api.decode(msgspec.json.encode(body), {}, tail.format(method="generateContent"))
    streamed_body = body if tail else {**body, "stream": True}
    streamed = api.decode(msgspec.json.encode(streamed_body), {}, tail.format(method="streamGenerateContent?alt=sse"))
    answer = bytes(vectors.answers[_SCENARIO].body)
    request_us = statistics.median(_request_us(translate, whole, target, answer) for _ in range(rounds))
    relayed = relay(api.native, dialect) is not None
    return Pair(
        name,
        dialect,
        relayed,
        request_us,
        0.0 if relayed else request_us - _relay_us(dialect, target, rounds),
        statistics.median(_chunk_us(translate, streamed, _events(vectors)) for _ in range(rounds)),
    )


def _relay_us(dialect: str, target: Target, rounds: int) -> float:
    """What the same costs where bytes pass through: for dialects without an API of their own, OpenAI's."""
    for api, body, tail in _REQUESTS.values():
        found = relay(api.native, dialect)
        if found is not None:
            call = api.decode(msgspec.json.encode(body), {}, tail.format(method="generateContent"))
            answer = bytes(_vectors(_DIALECTS[dialect][0]).answers[_SCENARIO].body)
            return statistics.median(_request_us(found, call, target, answer) for _ in range(rounds))
    return _relay_us("openai", Target(model="gpt-4o"), rounds)


def _request_us(translate: Translator, call: Call, target: Target, answer: bytes, times: int = 300) -> float:
    begun = time.process_time_ns()
    for _ in range(times):
        translate.decode(call, translate.encode(call, target), answer)
    return (time.process_time_ns() - begun) / times / 1000


def _chunk_us(translate: Translator, call: Call, events: tuple[bytes, bytes], times: int = 1000) -> float:
    before, delta = events
    stream = translate.stream(call, NOTHING_SENT)
    stream.feed(before)
    begun = time.process_time_ns()
    for _ in range(times):
        stream.feed(delta)
    return (time.process_time_ns() - begun) / times / 1000


def _events(vectors: _Vectors) -> tuple[bytes, bytes]:
    """What comes before the first piece of text, and that piece."""
    stream = vectors.answers[_STREAMED].stream
    framed = [encode_entry(each) if isinstance(each, dict) else each.encode() for each in stream]
    at = next(index for index, event in enumerate(framed) if _FIRST_WORD in event)
    return b"".join(framed[:at]), framed[at]


def _vectors(name: str) -> _Vectors:
    return msgspec.json.decode((FOLDER / f"{name}.json").read_bytes(), type=_Vectors)


def translation_table(pairs: list[Pair]) -> Table:
    """A row for each pair, its figures marked by whether they are within the targets."""
    table = Table(title="Translation, µs on one core", caption=f"targets: ≤ {REQUEST_TARGET_US:.0f} µs added to a "
                  f"request, ≤ {CHUNK_TARGET_US:.0f} µs for a chunk")  # fmt: skip
    for column in ("API", "dialect", "", "request and answer", "added", "chunk"):
        table.add_column(column, justify="left" if column in ("API", "dialect", "") else "right")
    for pair in pairs:
        table.add_row(
            pair.api, pair.dialect, "relayed" if pair.relayed else "", f"{pair.request_us:.1f}",
            _marked(pair.added_us, REQUEST_TARGET_US), _marked(pair.chunk_us, CHUNK_TARGET_US),
        )  # fmt: skip
    return table


def _marked(value: float, target: float) -> str:
    return f"{'✓' if value <= target else '✗'} {value:.1f}"


def draw_translation(pairs: list[Pair], path: Path) -> None:
    """Write two heat maps as PNG: what a request costs more than passing bytes through, and a chunk."""
    apis, dialects = list(_REQUESTS), list(_DIALECTS)
    canvas = Canvas(figsize=(12, 4.2), dpi=130, facecolor="white", layout="constrained")
    for axes, title, field, target in zip(
        canvas.subplots(1, 2).flat,
        ("Added to a request, µs", "A streamed chunk, µs"),
        ("added_us", "chunk_us"),
        (REQUEST_TARGET_US, CHUNK_TARGET_US),
        strict=True,
    ):
        values = {(pair.api, pair.dialect): float(getattr(pair, field)) for pair in pairs}
        grid = [[values[api, dialect] for dialect in dialects] for api in apis]
        axes.imshow(grid, cmap="YlGnBu", vmin=0, vmax=target)
        axes.set_title(f"{title}  (target ≤ {target:.0f})", loc="left", fontsize=10)
        axes.set_xticks(range(len(dialects)), dialects, rotation=30, ha="right")
        axes.set_yticks(range(len(apis)), apis)
        axes.spines[:].set_visible(False)
        for row, api in enumerate(apis):
            for column, dialect in enumerate(dialects):
                value = values[api, dialect]
                colour = "white" if value > target * 0.6 else "#222"
                axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=9)
    canvas.savefig(path)
