"""The emulator: which endpoint, which answer, and how it is framed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from tests.emulator.agent import act
from tests.emulator.seen import BadRequestError, Seen, check_mistral, seen
from tests.emulator.strict import problem
from tests.emulator.two_turn import FIRST, Answer
from tests.emulator.written import written
from tests.fixtures.upstream import HEAD_END, Request, Upstream, answer, framed
from tests.vectors import FOLDER
from tests.vectors.eventstream import encode_entry
from weebill.catalog.load import load
from weebill.catalog.schema import Quirks
from weebill.config.schema import ProviderSettings

TWO_TURN: Final = "two-turn"
# Those that do what the user's words say (`agent.py`): one that nobody knows, and some that programs or Weebill know.
AGENT: Final = "agent"
AGENTS: Final = (AGENT, "gpt-5.5", "gpt-6.2-sol", "claude-sonnet-4-5", "gemini-2.5-pro", "gemini-3-pro-preview")
KEY: Final = "the-providers-key"
# The bodies' chunks have these lengths by turns, so that events are cut anywhere.
_SIZES: Final = (1, 61, 7, 233, 2, 31, 419, 3, 127, 13)


@dataclass(frozen=True)
class Kind:
    """A dialect's endpoints: paths below its own prefix, with the model in `model` unless the body has it.

    `catalogued` is the provider of the catalogue whose quirks it has.
    """

    vectors: str
    base: str
    whole: str
    stream: str
    key_header: str
    key_form: str = "{}"
    options: tuple[tuple[str, str], ...] = ()
    media_type: str = "text/event-stream"
    catalogued: str = ""


_MODEL: Final = r"(?P<model>[^/]+)"
_CHAT: Final = "/v1/chat/completions"
_PUBLISHED: Final = f"/v1/projects/acme/locations/europe-west4/publishers/google/models/{_MODEL}"
_WORKERS: Final = "/client/v4/accounts/acme/ai/v1"
_WORKERS_CHAT: Final = f"{_WORKERS}/chat/completions"
_OLLAMA: Final = "/api/(?:chat|generate)"
_DEPLOYED: Final = rf"/openai/deployments/{_MODEL}/chat/completions\?api-version=2024-10-21"
KINDS: Final = {
    "openai": Kind("openai", "/v1", _CHAT, _CHAT, "authorization", "Bearer {}"),
    "openai-responses": Kind("responses", "/v1", "/v1/responses", "/v1/responses", "authorization", "Bearer {}"),
    "azure": Kind(
        "openai", "", _DEPLOYED, _DEPLOYED, "api-key", options=(("api_version", "2024-10-21"),),
    ),
    "mistral": Kind("openai", "/v1", _CHAT, _CHAT, "authorization", "Bearer {}", catalogued="mistral"),
    "cloudflare": Kind(
        "openai", _WORKERS, _WORKERS_CHAT, _WORKERS_CHAT, "authorization", "Bearer {}", catalogued="cloudflare"
    ),
    "huggingface": Kind("openai", "/v1", _CHAT, _CHAT, "authorization", "Bearer {}", catalogued="huggingface"),
    "anthropic": Kind("anthropic", "/v1", "/v1/messages", "/v1/messages", "x-api-key"),
    "gemini": Kind(
        "gemini", "/v1beta", rf"/v1beta/models/{_MODEL}:generateContent",
        rf"/v1beta/models/{_MODEL}:streamGenerateContent\?alt=sse", "x-goog-api-key",
    ),
    "vertex": Kind(
        "gemini", "/v1", rf"{_PUBLISHED}:generateContent", rf"{_PUBLISHED}:streamGenerateContent\?alt=sse",
        "x-goog-api-key", options=(("project", "acme"), ("location", "europe-west4")),
    ),
    "bedrock": Kind(
        "bedrock", "", rf"/model/{_MODEL}/converse", rf"/model/{_MODEL}/converse-stream", "authorization", "Bearer {}",
        (("region", "us-east-1"),), "application/vnd.amazon.eventstream",
    ),
    "cohere": Kind("cohere", "", "/v2/chat", "/v2/chat", "authorization", "Bearer {}"),
    "ollama": Kind(
        "ollama", "", _OLLAMA, _OLLAMA, "authorization", "Bearer {}", media_type="application/x-ndjson"
    ),
}  # fmt: skip
DIALECTS: Final = tuple(KINDS)
# Those that are the very record of OpenAI's dialect, by another name and in another place.
ALIASES: Final = ("cloudflare", "huggingface")
DISTINCT: Final = tuple(dialect for dialect in DIALECTS if dialect not in ALIASES)


@dataclass(frozen=True)
class Scenario:
    """An answer: `body` whole, `stream` as pieces of a stream; without one it is always whole."""

    status: int
    headers: tuple[str, ...]
    body: bytes
    stream: tuple[bytes, ...]


@cache
def scenarios(dialect: str) -> dict[str, Scenario]:
    """All that a dialect's vectors have, and the first answer of `two-turn`."""
    vectors: dict[str, dict[str, Any]] = json.loads((Path(FOLDER) / f"{KINDS[dialect].vectors}.json").read_bytes())
    found = {
        name: Scenario(
            vector.get("status", 200),
            tuple(f"{header}: {value}" for header, value in vector.get("headers", {}).items()),
            json.dumps(vector.get("body")).encode(),
            tuple(
                event.encode() if isinstance(event, str) else encode_entry(event) for event in vector.get("stream", ())
            ),
        )
        for name, vector in vectors["answers"].items()
    }
    found[TWO_TURN] = _said(dialect, FIRST)
    return found


def _said(dialect: str, answer: Answer) -> Scenario:
    body, stream = written(dialect, answer)
    return Scenario(200, (), json.dumps(body).encode(), tuple(stream))


@dataclass(frozen=True)
class Got:
    """A request as an endpoint of `dialect` got it; `stream` is whether one was asked for."""

    dialect: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    model: str
    stream: bool

    @property
    def seen(self) -> Seen:
        """What the provider reads in it."""
        return seen(self.dialect, self.body)


class Emulator(Upstream):
    """Answers for all providers, each below a prefix of its dialect's name; keeps what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Got] = []
        self.script = self._play

    def provider(self, dialect: str, api_key: str = KEY) -> ProviderSettings:
        """The settings that reach a dialect's endpoints, with every scenario as a model."""
        kind = KINDS[dialect]
        return ProviderSettings(
            dialect=dialect,
            base_url=f"http://127.0.0.1:{self.port}/{dialect}{kind.base}",
            api_key=api_key,
            models=(*scenarios(dialect), *AGENTS, "unknown"),
            options=dict(kind.options),
            quirks=_quirks(kind),
        )

    def last(self, dialect: str) -> Got:
        """The last request, which `dialect` must have got."""
        got = self.got[-1]
        assert got.dialect == dialect
        return got

    async def _play(self, request: Request, writer: asyncio.StreamWriter) -> None:
        dialect, path = _split(request.path)
        kind = KINDS[dialect]
        vectors = scenarios(dialect)
        if request.headers.get(kind.key_header) != kind.key_form.format(KEY):
            await _send(writer, vectors["error-401"])
            return
        other = _OTHERS.get((dialect, urlsplit(path).path))
        if other is not None:
            self.got.append(Got(dialect, path, request.headers, request.json, str(request.json["model"]), False))
            await _send(writer, other)
            return
        got = _generation(dialect, kind, path, request)
        if got is None:
            await _send(writer, vectors["error-404"])
            return
        self.got.append(got)
        try:
            _check(got)
            name = "text" if got.model == TWO_TURN and got.seen.results else got.model
            acted = _said(dialect, act(got.seen)) if name in AGENTS else None
        except BadRequestError as problem:
            await _send(writer, _refusal(vectors["error-400"], str(problem)))
            return
        scenario = acted or vectors.get(name, vectors["error-404"])
        if path == "/api/generate":
            scenario = _of_a_prompt(scenario)
        if got.stream and scenario.stream:
            await _send_stream(writer, kind.media_type, scenario)
        else:
            await _send(writer, scenario)


def _of_a_prompt(scenario: Scenario) -> Scenario:
    """An answer of Ollama's in a chat as one to a prompt: what is in the message stands beside it."""

    def told(data: bytes) -> bytes:
        piece = json.loads(data)
        message = piece.pop("message", None)
        if message is None:
            return data
        return json.dumps({**piece, "response": message.pop("content"), **message}).encode() + b"\n"

    return replace(scenario, body=told(scenario.body), stream=tuple(told(piece) for piece in scenario.stream))


def _quirks(kind: Kind) -> Quirks | None:
    return load().providers[kind.catalogued].quirks if kind.catalogued else None


def _split(path: str) -> tuple[str, str]:
    """Which dialect's endpoints a path is of, and the path there."""
    dialect, slash, rest = path.removeprefix("/").partition("/")
    return dialect, slash + rest


def _generation(dialect: str, kind: Kind, path: str, request: Request) -> Got | None:
    """A request to generate; None if it is to another path."""
    body = request.json
    by_path = kind.whole != kind.stream
    wanted = [(kind.stream, True), (kind.whole, False)] if by_path else [(kind.whole, _asks_stream(dialect, body))]
    for pattern, stream in wanted:
        found = re.fullmatch(pattern, path)
        if found is not None:
            in_path = found.groupdict().get("model")
            model = str(body["model"]) if in_path is None else unquote(in_path)
            return Got(dialect, path, request.headers, body, model, stream)
    return None


def _asks_stream(dialect: str, body: dict[str, Any]) -> bool:
    return bool(body.get("stream", dialect == "ollama"))


def _check(got: Got) -> None:
    """Raises BadRequestError for headers and fields that the provider demands."""
    if got.headers.get("content-type") != "application/json":
        raise BadRequestError("content-type must be application/json")
    if got.dialect == "anthropic" and "anthropic-version" not in got.headers:
        raise BadRequestError("anthropic-version: header is required")
    if got.dialect == "mistral":
        check_mistral(got.body)
    found = problem(got.dialect, got.body, got.headers)
    if found is not None:
        raise BadRequestError(found)
    if got.dialect in ("openai", "azure") and "stream_options" in got.body and not got.stream:
        raise BadRequestError("stream_options is only allowed with stream")


def _refusal(vector: Scenario, message: str) -> Scenario:
    """The provider's 400 with another message; its own is replaced wherever it stands."""
    body = json.loads(vector.body)

    def told(value: object) -> object:
        if isinstance(value, dict):
            return {name: message if name == "message" else told(each) for name, each in value.items()}
        return value

    return Scenario(400, (), json.dumps(told(body)).encode(), ())


async def _send(writer: asyncio.StreamWriter, scenario: Scenario) -> None:
    writer.write(answer(scenario.status, scenario.body, *scenario.headers))
    await writer.drain()


async def _send_stream(writer: asyncio.StreamWriter, media_type: str, scenario: Scenario) -> None:
    head = [f"HTTP/1.1 {scenario.status} OK", f"Content-Type: {media_type}", "Transfer-Encoding: chunked"]
    writer.write("\r\n".join([*head, *scenario.headers]).encode() + HEAD_END)
    for piece in _cut(b"".join(scenario.stream)):
        writer.write(framed(piece))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")


def _cut(data: bytes) -> Iterator[bytes]:
    at = 0
    for size in cycle(_SIZES):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


def _whole(body: object) -> Scenario:
    return Scenario(200, (), json.dumps(body).encode(), ())


_COMPLETION: Final = _whole(
    {
        "id": "cmpl-1", "object": "text_completion", "created": 1741569952, "model": "text",
        "choices": [{"index": 0, "text": "Hello there.", "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15},
    }
)  # fmt: skip
# Endpoints that do not generate, and old ones; the same answer whatever the model.
_OTHERS: Final = {
    ("openai", "/v1/embeddings"): _whole(
        {
            "object": "list", "model": "text",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        }
    ),
    ("ollama", "/api/embed"): _whole({"model": "text", "embeddings": [[0.5, -0.25]], "prompt_eval_count": 3}),
    ("openai", "/v1/completions"): _COMPLETION,
    ("azure", "/openai/deployments/text/completions"): _COMPLETION,
    ("anthropic", "/v1/messages/count_tokens"): _whole({"input_tokens": 42}),
}  # fmt: skip
