"""Ollama's API to Ollama: bytes pass through."""

from __future__ import annotations

import json
from math import inf
from typing import Any, Final

import pytest

from tests.apis.test_ollama_request import HI, decoded
from weebill.apis.ollama.api import OLLAMA_CHAT, OLLAMA_GENERATE
from weebill.gateway.translation import translator
from weebill.providers.base import ByteStream, Target, UpstreamRequest
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Usage
from weebill.wire.sse import MAX_EVENT_BYTES

TARGET: Final = Target(model="qwen3")
CHAT: Final = translator(OLLAMA_CHAT, "ollama", frozenset())
GENERATE: Final = translator(OLLAMA_GENERATE, "ollama", frozenset())
SENT: Final = UpstreamRequest(b"/api/chat", b"")
END: Final = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 2, "load_duration": 5}


def line(content: str, **more: Any) -> bytes:
    piece = {"model": "qwen3", "message": {"role": "assistant", "content": content}, "done": False, **more}
    return json.dumps(piece, separators=(",", ":")).encode() + b"\n"


PIECES: Final = (line('"model":"qwen3"'), line(" there"), line("", **END))


def streaming() -> ByteStream:
    return CHAT.stream(decoded(OLLAMA_CHAT, **HI), SENT)


def test_requests_keep_all_that_is_said() -> None:
    fields = {"prompt": "def f(", "suffix": "return x", "raw": True, "options": {"num_ctx": 8}, "x_new": 1}
    sent = GENERATE.encode(decoded(OLLAMA_GENERATE, **fields, drop_params=True), TARGET)
    assert sent.path == b"/api/generate"
    assert json.loads(sent.body) == {"model": "qwen3", **fields}
    assert CHAT.encode(decoded(OLLAMA_CHAT, **HI), TARGET).path == b"/api/chat"


def test_a_whole_answer() -> None:
    answer = CHAT.decode(decoded(OLLAMA_CHAT, **HI), SENT, line("Hi", **END))
    assert json.loads(answer.body) == {**json.loads(line("Hi", **END)), "model": "m"}
    assert answer.usage == Usage.reported(11, 2)
    bare = CHAT.decode(decoded(OLLAMA_CHAT, **HI), SENT, line("Hi", done=True))
    assert not bare.usage.measured
    assert bare.usage.prompt_tokens > 0


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_however_it_is_cut(size: int) -> None:
    stream, data = streaming(), b"".join(PIECES)
    assert (stream.begun, stream.owed_s) == (False, inf)
    out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert (stream.begun, stream.owed_s) == (True, 0.0)
    assert stream.feed(PIECES[0]) == b""
    out += stream.finish()
    expected = [{**json.loads(piece), "model": "m"} for piece in PIECES]
    assert [json.loads(each) for each in out.splitlines()] == expected
    assert stream.usage == Usage.reported(11, 2)


def test_a_last_line_without_its_end() -> None:
    stream = streaming()
    stream.feed(PIECES[0] + b"\n" + PIECES[2].rstrip())
    assert json.loads(stream.finish())["done"]


@pytest.mark.parametrize("data", [b"", PIECES[0], PIECES[0] + PIECES[2][:20]])
def test_a_stream_that_is_cut(data: bytes) -> None:
    stream = streaming()
    stream.feed(data)
    assert stream.usage.completion_tokens == (1 if data else 0)
    with pytest.raises(UpstreamFailure):
        stream.finish()


def test_an_error_inside() -> None:
    stream = streaming()
    assert stream.feed(PIECES[0] + b'{"error":"out of memory","status":503}\n' + PIECES[1]).count(b"\n") == 1
    assert stream.error is not None
    assert "out of memory" in str(stream.error)
    stream.finish()
    with pytest.raises(UpstreamFailure):
        CHAT.decode(decoded(OLLAMA_CHAT, **HI), SENT, b'{"error":"no"}')


@pytest.mark.parametrize("body", [b"", b"<html>", PIECES[0]])
def test_answers_that_are_none(body: bytes) -> None:
    with pytest.raises(UpstreamFailure):
        CHAT.decode(decoded(OLLAMA_CHAT, **HI), SENT, body)


def test_lines_that_are_none() -> None:
    for data in (b"data: {}\n", b"x" * (MAX_EVENT_BYTES + 1)):
        with pytest.raises(UpstreamFailure):
            streaming().feed(data)


def test_an_error_for_an_answer() -> None:
    failure = CHAT.error(decoded(OLLAMA_CHAT, **HI), 404, b'{"error":"model \'qwen3\' not found"}', None, "acme")
    assert "not found" in str(failure)
