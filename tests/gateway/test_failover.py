"""Failing over through a real worker: what the client sees, what is asked of whom, and what is recorded."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.fixtures.upstream import (
    DONE,
    STREAM_HEAD,
    USAGE_CHUNK,
    Request,
    Script,
    Upstream,
    answer,
    chunk,
    complete,
    completion,
    framed,
    hang,
    running_upstream,
    send,
    stream,
)
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.routing import BreakerSettings, RoutingSettings
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings

CHAT = "/v1/chat/completions"
HELLO: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
STREAMED = {**HELLO, "stream": True}
ROLE = chunk(begins=True)
NAMES = ("a", "b", "c")


class Three:
    """A worker in front of three upstreams, `a` before `b` before `c`."""

    def __init__(self, worker: RunningWorker, upstreams: dict[str, Upstream]) -> None:
        self.worker = worker
        self.upstreams = upstreams

    def script(self, **scripts: Script) -> None:
        for name, script in scripts.items():
            self.upstreams[name].script = script

    def asked(self) -> dict[str, int]:
        """How often each was asked since the last time."""
        counts = {name: len(each.requests) for name, each in self.upstreams.items()}
        for each in self.upstreams.values():
            each.requests.clear()
        return {name: count for name, count in counts.items() if count}

    async def post(self, headers: dict[str, str] | None = None, **fields: object) -> httpx.Response:
        return await self.worker.client.post(CHAT, json={**HELLO, **fields}, headers=headers)


def settings(upstreams: dict[str, Upstream]) -> Settings:
    providers = {
        name: ProviderSettings(
            base_url=each.base_url,
            api_keys=(f"{name}-1", f"{name}-2") if name == "c" else (f"{name}-1",),
            models=("m", "shared") if name != "c" else ("m", "twokeys"),
            tier=NAMES.index(name),
            local=name == "a",
            zero_retention=name != "c",
            idle_timeout_s=1.0,
            forward_headers=("OpenAI-Organization", "X-Trace"),
        )
        for name, each in upstreams.items()
    }
    routing = RoutingSettings(backoff_s=0.01, breaker=BreakerSettings(failures=4, open_s=0.5))
    server = ServerSettings(port=0, model_in_answers="served")  # so that what passes can be compared
    return Settings(server=server, local=LocalSettings(models=()), providers=providers, routing=routing)


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Three]:
    async with AsyncExitStack() as stack:
        upstreams = {name: await stack.enter_async_context(running_upstream()) for name in NAMES}
        for name, each in upstreams.items():
            each.script = complete(completion(f"I am {name}."))
        worker = await stack.enter_async_context(running_worker(tmp_path / "home", settings(upstreams)))
        yield Three(worker, upstreams)


def said(response: httpx.Response) -> str:
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def failing(status: int, *headers: str, **error: object) -> Script:
    body = {"error": {"message": f"It is {status}.", "type": "t", "param": None, "code": None, **error}}
    return send(answer(status, json.dumps(body).encode(), *headers))


GARBAGE = send(answer(200, b"<html>not what you asked for</html>"))
CUT = send(answer(200, b"{}").replace(b"content-length: 2", b"content-length: 200"), close=True)


SPEECH = "/v1/audio/speech"
SOUND = b'data: {"type":"speech.audio.delta","audio":"aGk="}\n\n'
SPOKEN = b'data: {"type":"speech.audio.done","usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}\n\n'
DEAD = b'data: {"error":{"message":"The engine died.","type":"server_error","param":null,"code":null}}\n\n'


@pytest.mark.parametrize(
    "events", [(DEAD,), (b'data: {"type":"error","message":"No."}\n\n',), (b": hello\n\n" + DEAD,), (SOUND + DEAD,)]
)
async def test_an_operation_whose_stream_begins_with_an_error_is_anothers(
    three: Three, events: tuple[bytes, ...]
) -> None:
    three.script(a=stream(*events), b=stream(SOUND, SPOKEN))
    asked = {"model": "m", "input": "Hi", "voice": "alloy", "stream_format": "sse"}
    response = await three.worker.client.post(SPEECH, json=asked)
    assert (response.status_code, response.content) == (200, SOUND + SPOKEN)
    assert three.asked() == {"a": 2, "b": 1}
    record = await three.worker.record()
    assert (record.upstream, record.outcome, record.attempts.count(",")) == ("b", "ok", 2)


@pytest.mark.parametrize(
    ("script", "tries", "what"),
    [
        (failing(500), 2, "500"),
        (failing(503), 1, "503"),  # what it has too much of, it is not given twice
        (send(b"", close=True), 2, "network"),
        (CUT, 2, "network"),
        (GARBAGE, 1, "invalid_answer"),
        (failing(429), 1, "429"),
        (failing(401), 1, "401"),
        (failing(402), 1, "402"),
        (failing(403), 1, "403"),
        (failing(404), 1, "404"),
        (failing(404, message="The model `m` does not exist.", code="model_not_found"), 1, "404"),
        (failing(413), 1, "413"),
        (failing(400, code="context_length_exceeded", message="maximum context length"), 1, "400"),
    ],
)
async def test_the_client_does_not_notice(three: Three, script: Script, tries: int, what: str) -> None:
    three.script(a=script)
    response = await three.post()
    assert (response.status_code, said(response)) == (200, "I am b.")
    assert three.asked() == {"a": tries, "b": 1}
    first, *_, last = response.headers["x-weebill-route"].split(";")[0].split(",")
    assert first.startswith(f"a:{what}:")
    assert last.startswith("b:200:")
    record = await three.worker.record()
    assert (record.upstream, record.status, record.outcome) == ("b", 200, "ok")
    assert [each.rsplit(":", 1)[0] for each in record.attempts.split(",")] == [f"a/m:{what}"] * tries + ["b/m:200"]


async def test_a_good_answer_says_so_and_the_record_is_plain(three: Three) -> None:
    response = await three.post()
    assert three.asked() == {"a": 1}
    route, model, policy = response.headers["x-weebill-route"].split(";")
    assert route.startswith("a:200:")
    assert (model, policy) == ("model=m", "policy=price")
    assert (await three.worker.record()).attempts == ""


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_what_is_wrong_for_all_is_told_at_once(three: Three, status: int) -> None:
    three.script(a=failing(status))
    response = await three.post()
    assert response.status_code == status
    assert response.json()["error"]["message"] == f"It is {status}."
    assert three.asked() == {"a": 1}
    assert response.headers["x-weebill-route"].startswith(f"a:{status}:")


async def test_when_all_fail_the_first_error_is_told_with_what_was_tried(three: Three) -> None:
    three.script(a=failing(429, "retry-after: 7"), b=failing(500), c=GARBAGE)
    response = await three.post()
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    message = response.json()["error"]["message"]
    assert message == "It is 429. (Tried a/m: 429, b/m: 500, b/m: 500, c/m: invalid_answer.)"
    record = await three.worker.record()
    assert (record.status, record.outcome) == (429, "rejected")


async def test_a_limited_deployment_is_left_alone(three: Three) -> None:
    three.script(a=failing(429, "retry-after: 30"))
    assert said(await three.post()) == "I am b."
    assert three.asked() == {"a": 1, "b": 1}
    for _ in range(3):
        assert said(await three.post()) == "I am b."
    assert three.asked() == {"b": 3}


async def test_a_refused_key_is_left_alone(three: Three) -> None:
    three.script(a=failing(401))
    for _ in range(3):
        assert said(await three.post()) == "I am b."
    assert three.asked() == {"a": 1, "b": 3}
    alone = await three.post(provider={"only": ["a"]})
    assert (alone.status_code, alone.json()["error"]["code"]) == (502, "upstream_credential_refused")
    assert 1 <= int(alone.headers["retry-after"]) <= 60
    assert three.asked() == {}


async def test_another_key_is_tried_first(three: Three) -> None:
    async def by_key(request: Request, writer: asyncio.StreamWriter) -> None:
        good = request.headers["authorization"] == "Bearer c-2"
        await (complete() if good else failing(429, "retry-after: 30"))(request, writer)

    three.script(c=by_key)
    for _ in range(4):
        response = await three.post(model="twokeys")
        assert response.status_code == 200
    keys = [request.headers["authorization"] for request in three.upstreams["c"].requests]
    assert keys.count("Bearer c-1") <= 1
    assert keys.count("Bearer c-2") == 4


async def test_a_breaker_opens_and_closes_again(three: Three) -> None:
    three.script(a=failing(500))
    for _ in range(4):
        assert said(await three.post()) == "I am b."
    assert three.asked() == {"a": 4, "b": 4}
    async with asyncio.timeout(60):
        assert said(await three.post()) == "I am b."
        while "a" in three.asked():  # it was slow, and time for a trial again
            assert said(await three.post()) == "I am b."
    three.script(a=complete(completion("I am back.")))
    async with asyncio.timeout(60):
        while said(await three.post()) != "I am back.":
            await asyncio.sleep(0.05)
    assert three.asked()["a"] == 1
    assert said(await three.post()) == "I am back."


@pytest.mark.parametrize("before", [(), (b": ping\n\n",), (ROLE,), (ROLE, b": ping\n\n")])
@pytest.mark.parametrize("end", [False, True])
async def test_a_stream_without_content_is_anothers(three: Three, before: tuple[bytes, ...], end: bool) -> None:
    three.script(a=stream(*before, end=end), b=stream(ROLE, chunk("Hello"), chunk("", "stop"), USAGE_CHUNK, DONE))
    response = await three.post(stream=True)
    assert response.status_code == 200
    assert response.content == ROLE + chunk("Hello") + chunk("", "stop") + DONE
    assert response.headers["x-weebill-route"].split(",")[-1].startswith("b:200:")
    assert three.asked()["b"] == 1
    record = await three.worker.record()
    assert (record.upstream, record.outcome, record.prompt_tokens, record.measured) == ("b", "ok", 12, True)


async def test_an_error_event_before_content_is_anothers_too(three: Three) -> None:
    error = b'data: {"error": {"message": "Overloaded.", "type": "server_error", "code": "overloaded"}}\n\n'
    three.script(a=stream(ROLE, error), b=stream(ROLE, chunk("Hello"), chunk("", "stop"), DONE))
    response = await three.post(stream=True)
    assert response.content == ROLE + chunk("Hello") + chunk("", "stop") + DONE


async def test_after_content_nothing_else_is_tried(three: Three) -> None:
    three.script(a=stream(ROLE, chunk("Hel"), end=False))
    response = await three.post(stream=True)
    assert response.status_code == 200
    assert response.content.startswith(ROLE + chunk("Hel"))
    assert json.loads(response.content.rpartition(b"data: ")[2])["error"]["code"] == "upstream_failed"
    assert three.asked() == {"a": 1}
    assert (await three.worker.record()).outcome == "upstream_error"


async def test_a_stream_begins_only_with_content_but_then_at_once(three: Three) -> None:
    seen = asyncio.Event()

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(ROLE))
        await asyncio.sleep(0.1)
        writer.write(framed(chunk("one")))
        await seen.wait()  # so nothing held the first one back
        writer.write(framed(chunk("two", "stop")) + framed(DONE) + b"0\r\n\r\n")

    three.script(a=script)
    async with three.worker.client.stream("POST", CHAT, json=STREAMED) as response:
        pieces = response.aiter_raw()
        assert await anext(pieces) == ROLE + chunk("one")
        seen.set()
        assert b"".join([piece async for piece in pieces]) == chunk("two", "stop") + DONE


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_hanging_deployment_leaves_others_time(three: Three, streamed: bool) -> None:
    three.script(a=hang(), b=stream(chunk("Hi"), chunk("", "stop"), DONE) if streamed else complete(completion("Hi")))
    begun = time.monotonic()
    response = await three.post({"x-weebill-timeout": "3"}, stream=streamed)
    # Later than that, it would be a 504.
    assert response.status_code == 200
    assert time.monotonic() - begun > 0.4
    assert three.asked() == {"a": 1, "b": 1}


async def test_nobody_waits_beyond_the_deadline(three: Three) -> None:
    three.script(a=hang(), b=hang(), c=hang())
    # No other timeout here is as short as the client's patience.
    response = await three.post({"x-weebill-timeout": "0.8"})
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf"])
async def test_a_timeout_that_is_none_is_refused(three: Three, value: str) -> None:
    response = await three.post({"x-weebill-timeout": value})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "x-weebill-timeout")


async def test_local_only_stays_whatever_fails(three: Three) -> None:
    for script in (failing(500), failing(429), failing(401), send(b"", close=True), GARBAGE):
        three.script(a=script)
        response = await three.post(provider={"local_only": True})
        assert response.status_code >= 400
        assert set(three.asked()) <= {"a"}


async def test_what_is_wanted_is_for_us_alone(three: Three) -> None:
    response = await three.post(provider={"order": ["c"], "zdr": False}, models=["shared"], drop_params=True)
    assert said(response) == "I am c."
    [request] = three.upstreams["c"].requests
    assert request.json == HELLO


async def test_other_models_follow(three: Three) -> None:
    three.script(c=failing(500))
    response = await three.post(model="twokeys", models=["shared"])
    assert (response.status_code, said(response)) == (200, "I am a.")
    assert three.upstreams["a"].requests[0].json["model"] == "shared"
    assert (await three.worker.record()).model_served == "shared"


async def test_a_wish_that_cannot_be_met_is_explained(three: Three) -> None:
    response = await three.post(provider={"only": ["b", "c"], "ignore": ["b"], "zdr": True})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "no_deployment", "provider.only")
    for part in ("a/m is not among them", "b/m is among them (provider.ignore)", "c/m stores requests (provider.zdr)"):
        assert part in error["message"]
    unknown = await three.post(provider={"colour": 1})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "provider.colour")


async def test_a_client_that_leaves_takes_its_attempt_with_it(three: Three) -> None:
    three.script(a=hang())
    for at in range(3):
        asking = asyncio.create_task(three.post())
        async with asyncio.timeout(60):
            while len(three.upstreams["a"].requests) <= at:
                await asyncio.sleep(0.01)
            asking.cancel()
            await three.upstreams["a"].requests[at].closed.wait()
    assert three.asked() == {"a": 3}
    three.script(a=complete(completion("I am a.")))
    assert said(await three.post()) == "I am a."


async def test_every_attempt_is_paid_for(tmp_path: Path) -> None:
    """What failed after it was worked on costs what it costs, and is marked as estimated."""
    async with running_upstream() as groq, running_upstream() as together:
        model, other = "llama-3.3-70b-versatile", "meta-llama/Llama-3.3-70B-Instruct-Turbo"
        providers = {
            "groq": ProviderSettings(dialect="openai", base_url=groq.base_url, api_key="k", models=(model,)),
            "together": ProviderSettings(
                dialect="openai", base_url=together.base_url, api_key="k", models=(other,), tier=1
            ),
        }
        both = Settings(server=ServerSettings(port=0), local=LocalSettings(models=()), providers=providers)
        async with running_worker(tmp_path / "home", both) as worker:
            asked = {**HELLO, "model": model}
            await worker.client.post(CHAT, json=asked)
            together.script = groq.script
            groq.script = GARBAGE
            await worker.client.post(CHAT, json=asked)
            record = await worker.record(2)
            alone, second = worker.records()
            assert alone.cost_nano > 0
            assert (alone.upstream, alone.measured) == ("groq", True)
            assert (second.upstream, second.measured) == ("together", False)
            # Together's price for 12 and 5 tokens, and Groq's for an estimate of the prompt.
            assert record.cost_nano > alone.cost_nano * 0.5
            groq.script = failing(500)
            await worker.client.post(CHAT, json=asked)
            third = await worker.record(3)
            assert (third.upstream, third.measured) == ("together", True)  # an error costs nothing
            assert third.cost_nano < second.cost_nano


async def test_no_time_left_is_told_as_that(three: Three) -> None:
    response = await three.post(headers={"x-weebill-timeout": "0.000001"}, provider={"only": ["a"]})
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    assert three.asked() == {}


async def test_an_estimate_says_nothing_of_who_was_not_asked(three: Three) -> None:
    three.script(a=failing(500))
    for _ in range(2):
        await three.post()
    three.asked()
    body = {**HELLO, "provider": {"only": ["a"]}}
    counted = await three.worker.client.post("/v1/messages/count_tokens", json=body)
    assert counted.status_code == 200
    await three.post()
    assert three.asked() == {"b": 1}
