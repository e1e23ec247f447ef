"""What a request may hold: counted before it is read, refused by the field's name."""

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.fixtures.upstream import Upstream, answer, completion
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.conftest import settings
from weebill.config.limits import LimitSettings
from weebill.gateway.bounds import check_values
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure
from weebill.wire.sse import MOST_OBJECTS, bounded
from weebill.wire.surrogates import mended

LIMITS = LimitSettings(values=200_000, fields=50, messages=3000, parts=2000, tools=300, entries=4000)
CHAT = "/v1/chat/completions"
CHAT_START = '{"model":"gpt-4o-mini","messages":['
HI = '{"role":"user","content":"Hi"}'
TOOL = '{"type":"function","function":{"name":"look_up","parameters":{"type":"object","properties":{}}}}'
CLAUDE_TOOL = '{"name":"look_up","description":"Looks things up where they are.","input_schema":{"type":"object"}}'


def values(document: object) -> int:
    """How many JSON values there are, each empty list or object counted as one that might have something in it."""
    if isinstance(document, dict):
        return 1 + max(1, sum(map(values, document.values())))
    if isinstance(document, list):
        return 1 + max(1, sum(map(values, document)))
    return 1


def drawn(rng: random.Random, depth: int = 0) -> object:
    kind = rng.randrange(6 if depth < 5 else 3)
    if kind == 0:
        return "".join(rng.choice('a,"\\[{}]:é\n') for _ in range(rng.randrange(40)))
    if kind in (1, 2):
        return rng.choice([1, 2.5, None, True, ""])
    if kind in (3, 4):
        return [drawn(rng, depth + 1) for _ in range(rng.randrange(12))]
    return {f'k{number},"\\': drawn(rng, depth + 1) for number in range(rng.randrange(12))}


@pytest.mark.parametrize("seed", range(20))
def test_what_is_in_strings_does_not_count(seed: int) -> None:
    rng = random.Random(seed)
    document = {"model": "m", **{f"f{number}": drawn(rng) for number in range(30)}}
    body = json.dumps(document, ensure_ascii=rng.random() < 0.5).encode()
    count = values(document)
    check_values(body, count)
    with pytest.raises(ApiError) as refused:
        check_values(body, count - 1)
    assert refused.value.detail.code == "too_many_values"


@pytest.mark.parametrize("shift", range(12))
def test_a_step_may_end_anywhere(shift: int) -> None:
    body = b'{"a":"' + b"x" * (65_520 + shift) + rb"\\\\\",\\\",[\"\\\\" + b'","b":[1,2,3]}'
    document = json.loads(body)
    check_values(body, values(document))
    with pytest.raises(ApiError):
        check_values(body, values(document) - 1)


def repeated(before: str, item: str, count: int, after: str) -> bytes:
    return (before + ",".join([item] * count) + after).encode()


def fields(count: int, length: int = 1) -> str:
    return ",".join(f'"f{number}":{"1" * length}' for number in range(count))


def chat(more: str) -> bytes:
    return f'{{"model":"gpt-4o-mini","messages":[{HI}],{more}}}'.encode()


def many(count: int, item: str) -> str:
    return ",".join([item] * count)


TOO_MUCH = [
    # path, body, the field that is named, code
    (CHAT, chat(fields(60)), "f48", "too_many_fields"),
    (CHAT, chat(fields(60, 2000)), "f48", "too_many_fields"),
    (CHAT, chat(f'"user":"me",{fields(250_000)}'), "f1", "too_many_values"),
    (CHAT, chat(f'"metadata":[{many(250_000, "[]")}]'), "metadata", "too_many_values"),
    (
        CHAT,
        repeated('{"model":"gpt-4o-mini","messages":[', HI, 3001, "]}"),
        "messages",
        "array_above_max_length",
    ),
    (
        CHAT,
        repeated(CHAT_START + '{"role":"user","content":[', '{"text":"Hi","type":"text"}', 2500, "]}]}"),
        "messages[0].content",
        "array_above_max_length",
    ),
    (CHAT, chat(f'"tools":[{many(400, TOOL + " " * 100)}]'), "tools", "array_above_max_length"),
    (CHAT, chat(f'"logit_bias":{{{fields(5000, 9)}}}'), "logit_bias", "array_above_max_length"),
    (
        "/v1/responses",
        repeated('{"model":"gpt-4o-mini","input":[', HI, 3001, "]}"),
        "input",
        "array_above_max_length",
    ),
    (
        "/v1beta/models/gpt-4o-mini:generateContent",
        repeated('{"contents":[', '{"parts":[{"text":"Hi"}]}', 3001, "]}"),
        "contents",
        "array_above_max_length",
    ),
    (
        "/v1/messages",
        repeated('{"model":"gpt-4o-mini","max_tokens":9,"messages":[', HI, 3001, "]}"),
        "messages",
        "array_above_max_length",
    ),
    (
        "/v1/messages/count_tokens",
        repeated(CHAT_START + HI + '],"tools":[', CLAUDE_TOOL, 900, "]}"),
        "tools",
        "array_above_max_length",
    ),
    ("/v1/embeddings", repeated('{"model":"gpt-4o-mini","input":[', "17", 250_000, "]}"), "input", "too_many_values"),
    (CHAT, chat(r'"user":"' + r"\n" * 4_000_001 + '"'), "", "too_many_escapes"),
]


@pytest.fixture
async def bounded_worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    configured = settings(upstream)
    async with running_worker(tmp_path / "home", msgspec.structs.replace(configured, limits=LIMITS)) as running:
        yield running


async def test_too_much_is_refused_by_name(bounded_worker: RunningWorker, upstream: Upstream) -> None:
    for path, body, param, code in TOO_MUCH:
        reply = await bounded_worker.client.post(path, content=body, headers={"content-type": "application/json"})
        assert reply.status_code == 400, (path, reply.text[:300])
        error = reply.json()["error"]
        if "param" in error:
            assert error["code"] == code
            assert (error["param"] or "").startswith(param), error
        else:  # Anthropic's and Gemini's errors have no place for them
            assert param in error["message"], error
    assert not upstream.requests


async def test_large_requests_of_ordinary_kind_pass(bounded_worker: RunningWorker, upstream: Upstream) -> None:
    code = "for (a, b) in {x: [1, 2]}, {y: [3]}:\n" * 20_000
    bodies = {
        CHAT: {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": code}]},
        "/v1/messages": {"model": "gpt-4o-mini", "max_tokens": 9, "messages": [{"role": "user", "content": code}] * 2},
        "/v1/responses": {"model": "gpt-4o-mini", "input": code, "store": False},
        "/v1beta/models/gpt-4o-mini:generateContent": {"contents": [{"parts": [{"text": code}]}]},
    }
    for path, body in bodies.items():
        reply = await bounded_worker.client.post(path, json=body)
        assert reply.status_code == 200, reply.text[:300]
    assert all(
        code in json.dumps(request.json, ensure_ascii=False).replace("\\n", "\n") for request in upstream.requests
    )


async def test_an_answer_with_too_many_objects_is_none(worker: RunningWorker, upstream: Upstream) -> None:
    call = '{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}'
    message = '{"role":"assistant","content":null,"tool_calls":[' + many(MOST_OBJECTS, call) + "]}"
    body = json.dumps(completion()).replace('{"role": "assistant", "content": "Hello there."}', message).encode()
    assert body.count(b"{") > MOST_OBJECTS

    async def script(request: object, writer: object) -> None:
        writer.write(answer(200, body))  # type: ignore[attr-defined]

    upstream.script = script
    for path in (CHAT, "/v1/messages"):
        asked = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
        reply = await worker.client.post(path, json=asked)
        assert reply.status_code == 502
        assert "objects" in reply.json()["error"]["message"]


def test_an_event_with_too_many_objects_is_refused() -> None:
    many_objects = b"[" + b"{}," * MOST_OBJECTS + b"{}]"
    with pytest.raises(UpstreamFailure):
        bounded(many_objects)
    bounded(b'{"logprobs":' + many_objects + b"}")  # which have an object for each alternative


def test_many_halves_of_pairs_are_mended_alike() -> None:
    text = rb"\ud83d\ude00 \ud83d \\ud83d \\\ud83d x" * 4000
    assert mended(text) == mended(text[: len(text) // 4000]) * 4000
