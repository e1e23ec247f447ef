"""What the server refuses before a handler answers comes in the format of the API that the client speaks."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.schema import LocalSettings, ServerSettings, Settings
from weebill.gateway.api_formats import refusing
from weebill.transport.server import Exchange, Server

SETTINGS: Final = Settings(
    server=ServerSettings(
        port=0, max_body_bytes=2000, max_header_bytes=4096, header_timeout_s=0.3, body_timeout_s=0.3, cors_origins=()
    ),
    local=LocalSettings(models=()),
)


def of_openai(body: Any, headers: dict[str, str]) -> tuple[str, str]:
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]["message"], body["error"]["type"]


def of_anthropic(body: Any, headers: dict[str, str]) -> tuple[str, str]:
    """Source: https://docs.anthropic.com/en/api/errors#error-shapes, where 413 is `request_too_large`."""
    assert (set(body), body["type"]) == ({"type", "error", "request_id"}, "error")
    assert set(body["error"]) == {"type", "message"}
    assert body["request_id"] == headers["request-id"] == headers["x-request-id"]
    return body["error"]["message"], body["error"]["type"]


def of_gemini(body: Any, headers: dict[str, str]) -> tuple[str, str]:
    """Source: https://cloud.google.com/apis/design/errors#http_mapping."""
    assert set(body) == {"error"}
    assert set(body["error"]) >= {"code", "message", "status"}
    return body["error"]["message"], body["error"]["status"]


Read = Callable[[Any, dict[str, str]], tuple[str, str]]
# By path: how the error is read, and its type at 400, 408, 413, 415, 417 and 431.
OPENAI: Final = ("invalid_request_error", "timeout_error", *("invalid_request_error",) * 4)
ANTHROPIC: Final = (
    "invalid_request_error", "timeout_error", "request_too_large", *("invalid_request_error",) * 3
)  # fmt: skip
GEMINI: Final = ("INVALID_ARGUMENT", "DEADLINE_EXCEEDED", *("INVALID_ARGUMENT",) * 4)
PATHS: Final[list[tuple[str, Read, tuple[str, ...]]]] = [
    ("/v1/chat/completions", of_openai, OPENAI),
    ("/openai/v1/responses", of_openai, OPENAI),
    ("/v1/embeddings", of_openai, OPENAI),
    ("/v1/messages", of_anthropic, ANTHROPIC),
    ("/anthropic/v1/messages", of_anthropic, ANTHROPIC),
    ("/v1/messages/count_tokens?beta=true", of_anthropic, ANTHROPIC),
    ("/v1beta/models/mini:generateContent", of_gemini, GEMINI),
    ("/v1/models/mini:streamGenerateContent?alt=sse", of_gemini, GEMINI),
    ("/gemini/v1beta/models/mini:embedContent", of_gemini, GEMINI),
]
STATUSES: Final = (400, 408, 413, 415, 417, 431)
# Each as pieces that are sent one after the other, and the status. `KEY` is a key that is good.
REFUSALS: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "malformed head": (400, ("", "no colon\r\n\r\n")),
    "two lengths": (400, ("content-length: 2\r\ncontent-length: 3\r\n\r\n{}",)),
    "malformed chunk": (400, ("transfer-encoding: chunked\r\n\r\n", "zz\r\n")),
    "malformed chunk with its head": (400, ("transfer-encoding: chunked\r\n\r\nzz\r\n",)),
    "slow head": (408, ("x-a: ",)),
    "slow body": (408, ("content-length: 9\r\n\r\n{",)),
    "long body": (413, (f"content-length: 3000\r\n\r\n{'x' * 3000}",)),
    "long chunked body": (413, (f"transfer-encoding: chunked\r\n\r\n{0xBB8:x}\r\n{'x' * 3000}\r\n0\r\n\r\n",)),
    "unknown coding": (415, ("content-encoding: lzma\r\ncontent-length: 2\r\n\r\n{}",)),
    "unknown expectation": (417, ("expect: something\r\ncontent-length: 2\r\n\r\n{}",)),
    "long head": (431, (f"x-long: {'x' * 5000}\r\n\r\n",)),
    "long head in pieces": (431, ("x-long: ", "x" * 5000)),
}


async def refused(worker: RunningWorker, path: str, pieces: tuple[str, ...]) -> tuple[int, dict[str, str], Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    try:
        head = f"POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: Bearer {worker.key}\r\n"
        for at, piece in enumerate(pieces):
            writer.write((head + piece if not at else piece).encode())
            await asyncio.sleep(0.02 if len(pieces) > 1 else 0)
        return answered(await asyncio.wait_for(reader.read(), 60))
    finally:
        writer.close()


def answered(answer: bytes) -> tuple[int, dict[str, str], Any]:
    """A refusal's status, headers and body."""
    head, _, body = answer.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    names = [line.partition(": ")[0] for line in lines]
    assert len(names) == len(set(names)), names
    return int(status.split()[1]), dict(line.split(": ", 1) for line in lines), json.loads(body)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[RunningWorker]:
    async with running_worker(tmp_path / "home", SETTINGS) as running:
        yield running


async def test_refusals_are_in_the_format_of_who_asks(worker: RunningWorker) -> None:
    async def check(path: str, read: Read, kinds: tuple[str, ...], name: str) -> str | None:
        """What is wrong with an answer."""
        status, pieces = REFUSALS[name]
        try:
            answered, headers, body = await refused(worker, path, pieces)
            message, kind = read(body, headers)
            assert (answered, kind) == (status, dict(zip(STATUSES, kinds, strict=True))[status])
            assert message
        except Exception as error:
            return f"{path}, {name}: {error!r}"
        return None

    found = await asyncio.gather(*(check(*row, name) for row in PATHS for name in REFUSALS))
    assert [each for each in found if each] == []


async def test_so_are_those_of_too_many_connections() -> None:
    async def none(exchange: Exchange) -> None:
        raise NotImplementedError

    server = Server(none, ServerSettings(max_connections=1), refusing)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.listen([listener])
    port = listener.getsockname()[1]
    _, first = await asyncio.open_connection("127.0.0.1", port)
    asked = [(f"POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n", read) for path, read, _ in PATHS]
    # By what clients send, where the path does not say.
    asked += [
        (f"GET /v1/models HTTP/1.1\r\nhost: h\r\n{line}\r\n\r\n", read)
        for line, read in (
            ("a: b", of_openai),
            ("anthropic-version: 1", of_anthropic),
            ("x-goog-api-key: k", of_gemini),
        )
    ]
    for head, read in asked:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode())
        status, headers, body = answered(await asyncio.wait_for(reader.read(), 60))
        writer.close()
        assert (status, headers["retry-after"]) == (503, "1")
        assert read(body, headers)[0] == "Too many connections; try again later.", head
    first.close()
    await server.drain(0)


# What an SDK is made to send that the server refuses: a text and headers, by the status of the refusal.
MADE_TO_SEND: Final[list[tuple[int, str, dict[str, str]]]] = [
    (413, "long " * 1000, {}),
    (415, "Hi", {"content-encoding": "lzma"}),
    (417, "Hi", {"expect": "something"}),
    (431, "Hi", {"x-long": "x" * 5000}),
]


async def test_sdks_raise_what_they_raise_for_it(worker: RunningWorker) -> None:
    for status, text, extra in MADE_TO_SEND:
        await check_sdks(worker, status, text, extra)


async def check_sdks(worker: RunningWorker, status: int, text: str, extra: dict[str, str]) -> None:
    url, key = worker.url, worker.key
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, default_headers=extra) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.responses.create(model="m", input=text)
    assert raised.value.status_code == status
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["message"] in raised.value.message
    async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0, default_headers=extra) as claude:
        with pytest.raises(anthropic.APIStatusError) as told:
            await claude.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": text}])
    assert told.value.status_code == status
    # Claude Code and others go by this type: https://github.com/earendil-works/pi/issues/2734
    assert (told.value.type == "request_too_large") == (status == 413)
    assert isinstance(told.value.body, dict)
    assert told.value.request_id == told.value.body["request_id"]
    options = types.HttpOptions(base_url=url, timeout=20_000, headers=extra)
    google = genai.Client(api_key=key, http_options=options)
    with pytest.raises(errors.ClientError) as said:
        await google.aio.models.generate_content(model="m", contents=text)
    assert (said.value.code, said.value.status) == (status, "INVALID_ARGUMENT")
    assert said.value.message
    await google.aio.aclose()
