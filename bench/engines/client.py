"""Requests to an engine's server, and the times of their answers."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from bench.proc import BenchError

# An agent's prompt takes minutes on two cores.
_TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server on loopback: `pid` is its process, with all that it started."""

    name: str
    port: int
    key: str
    pid: int


class _Usage(msgspec.Struct):
    completion_tokens: int = 0
    prompt_tokens: int = 0


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: str | None = None

    @property
    def words(self) -> str:
        return self.text or (self.delta.content if self.delta else None) or ""


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _Usage | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


@dataclass(frozen=True, slots=True)
class Answer:
    """Times in seconds of `time.perf_counter`. Without the server's own count, `tokens` are the chunks with text, and
    `prompt_tokens` 0.
    """

    text: str
    tokens: int
    prompt_tokens: int
    sent_at: float
    first_at: float
    last_at: float

    @property
    def first_s(self) -> float:
        """Seconds to the first token."""
        return self.first_at - self.sent_at


def stream(server: Server, path: str, body: Mapping[str, object]) -> Answer:
    """Returns the answer to a request of the OpenAI API, as a stream. Raises BenchError."""
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_TIMEOUT_S)
    try:
        sent_at = time.perf_counter()
        response = _send(connection, server, path, asked)
        times, words, usage = [], [], _Usage()
        for chunk in _chunks(response):
            if text := "".join(choice.words for choice in chunk.choices):
                times.append(time.perf_counter())
                words.append(text)
            usage = chunk.usage or usage
    finally:
        connection.close()
    if not times:
        raise BenchError(f"{server.name}: an answer without text")
    tokens = usage.completion_tokens or len(times)
    return Answer("".join(words), tokens, usage.prompt_tokens, sent_at, times[0], times[-1])


def at_once(server: Server, path: str, bodies: list[dict[str, object]]) -> list[Answer]:
    """Returns the answers to requests that are sent together."""
    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: stream(server, path, body), bodies))


def tokens_per_s(answers: list[Answer]) -> float:
    """Returns the rate of all together from the first token on, which nobody waits for any more."""
    wall = max(answer.last_at for answer in answers) - min(answer.first_at for answer in answers)
    return (sum(answer.tokens for answer in answers) - len(answers)) / wall


def post(server: Server, path: str, body: Mapping[str, object]) -> bytes:
    """Returns an answer in one piece. Raises BenchError."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_TIMEOUT_S)
    try:
        return _send(connection, server, path, body).read()
    finally:
        connection.close()


def _send(
    connection: http.client.HTTPConnection, server: Server, path: str, body: Mapping[str, object]
) -> http.client.HTTPResponse:
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    connection.request("POST", path, msgspec.json.encode(body), headers)
    response = connection.getresponse()
    if response.status != http.client.OK:
        said = response.read(300).decode(errors="replace")
        raise BenchError(f"{server.name}: status {response.status}: {said}")
    return response


def _chunks(response: http.client.HTTPResponse) -> Iterator[_Chunk]:
    for line in response:
        if line.startswith(b"data: ") and not line.startswith(b"data: [DONE]"):
            yield _decode_chunk(line[6:])
