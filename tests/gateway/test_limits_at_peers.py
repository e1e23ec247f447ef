"""What users of another gateway, LiteLLM, have reported of its budgets and limits, tried here.

Each test names the report, an issue of https://github.com/BerriAI/litellm. That its limits are those of one worker each
(16011) is tried with four workers in `tests/e2e/test_limits.py`.
"""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.fixtures.upstream import STREAM_HEAD, Request, Upstream, answer, chunk, completion, framed
from tests.fixtures.worker import RunningWorker
from tests.gateway import test_limits
from tests.gateway.test_limits import ASKED, CHAT, MESSAGES, ask, limited

worker = test_limits.worker


async def test_23714_nothing_is_admitted_beyond_the_budget(worker: RunningWorker, upstream: Upstream) -> None:
    limited(worker, "spend", "none", 100_000)
    statuses = [(await ask(worker)).status_code for _ in range(40)]
    assert set(statuses) == {200, 402}
    assert sum(record.cost_nano or 0 for record in worker.records()) <= 100_000
    assert len(upstream.requests) == statuses.count(200)


async def test_34732_requests_at_once_do_not_all_see_the_same_rest(worker: RunningWorker, upstream: Upstream) -> None:
    limited(worker, "spend", "none", 250_000)  # enough for two or three of them at a time
    gone_on = asyncio.Event()

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await gone_on.wait()
        writer.write(answer(200, json.dumps(completion()).encode()))

    upstream.script = slow
    asked = [asyncio.create_task(ask(worker)) for _ in range(32)]
    async with asyncio.timeout(60):
        while sum(each.done() for each in asked) < 28:
            await asyncio.sleep(0.05)
    assert {each.result().status_code for each in asked if each.done()} == {402}
    gone_on.set()
    answers = await asyncio.gather(*asked)
    assert 1 <= [each.status_code for each in answers].count(200) <= 4
    assert len(upstream.requests) <= 4


async def test_40095_the_first_requests_of_a_key_are_held_to_its_budget(worker: RunningWorker) -> None:
    limited(worker, "spend", "day", 1)
    statuses = [each.status_code for each in await asyncio.gather(*(ask(worker) for _ in range(8)))]
    assert statuses == [402] * 8


async def test_22726_nobody_is_over_a_budget_that_is_not_set(worker: RunningWorker) -> None:
    answers = [await ask(worker) for _ in range(20)]
    assert {each.status_code for each in answers} == {200}
    assert not [name for each in answers for name in each.headers if "ratelimit" in name]


async def test_5783_tokens_hold_for_requests_at_once(worker: RunningWorker) -> None:
    limited(worker, "tokens", "day", 2000)
    answers = await asyncio.gather(*(ask(worker) for _ in range(40)))
    assert {each.status_code for each in answers} == {200, 429}
    used = sum(each.json()["usage"]["total_tokens"] for each in answers if each.status_code == 200)
    assert used <= 2000


async def test_2153_a_limit_of_tokens_needs_none_of_requests(worker: RunningWorker) -> None:
    limited(worker, "tokens", "day", 10)
    refused = await ask(worker)
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "tokens"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", [CHAT, "/v1/messages"], ids=["chat", "messages"])
async def test_27748_streams_have_the_headers_too(
    worker: RunningWorker, upstream: Upstream, path: str, stream: bool
) -> None:
    limited(worker, "requests", "day", 10)
    limited(worker, "tokens", "day", 100_000)
    if stream:

        async def streamed(request: Request, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + framed(chunk("a", begins=True)) + framed(chunk("", "stop")))
            writer.write(framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")

        upstream.script = streamed
    answered = await worker.client.post(path, json={**MESSAGES, "stream": stream})
    assert answered.status_code == 200
    names = (
        [f"anthropic-ratelimit-{kind}-{what}" for kind in ("requests", "tokens") for what in ("limit", "remaining")]
        if path.endswith("messages")
        else [f"x-ratelimit-{what}-{kind}" for kind in ("requests", "tokens") for what in ("limit", "remaining")]
    )
    assert [name for name in names if name not in answered.headers] == []


async def test_27955_a_stream_that_its_client_leaves_takes_no_place(worker: RunningWorker, upstream: Upstream) -> None:
    limited(worker, "concurrent", "none", 1)
    begun = asyncio.Event()

    async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(chunk("a")))
        begun.set()
        await asyncio.sleep(3600)

    plain, upstream.script = upstream.script, endless
    for count in range(1, 4):
        begun.clear()
        async with worker.client.stream("POST", CHAT, json={**ASKED, "stream": True}) as streamed:
            assert streamed.status_code == 200
            await begun.wait()
        await worker.record(count)
    upstream.script = plain
    assert (await ask(worker)).status_code == 200


async def test_20256_an_upstream_that_fails_or_is_late_takes_no_place(
    worker: RunningWorker, upstream: Upstream
) -> None:
    limited(worker, "concurrent", "none", 1)

    async def broken(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(502, b"no"))

    async def late(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    plain = upstream.script
    for script in (broken, late):
        upstream.script = script
        failed = await worker.client.post(CHAT, json=ASKED, headers={"x-weebill-timeout": "0.5"})
        assert failed.status_code >= 500
    upstream.script = plain
    async with asyncio.timeout(30):
        while (answered := await ask(worker)).status_code != 200:  # the breaker may have opened
            assert answered.json()["error"]["code"] != "rate_limit_exceeded"
            await asyncio.sleep(0.2)


async def test_1477_a_wrong_request_takes_no_place(worker: RunningWorker) -> None:
    limited(worker, "concurrent", "none", 1)
    for wrong in ({"model": "nobody-has-it"}, {"messages": "Hi"}, {"n": "many"}):
        assert (await ask(worker, **wrong)).status_code in (400, 404)
    assert (await ask(worker)).status_code == 200


async def test_39726_a_raised_limit_holds_although_clients_ask_again_and_again(worker: RunningWorker) -> None:
    limited(worker, "spend", "day", 1)
    assert (await ask(worker)).status_code == 402
    limited(worker, "spend", "day", 10**9)
    async with asyncio.timeout(60):
        while (await ask(worker)).status_code != 200:
            await asyncio.sleep(0.05)


async def test_37971_a_refusal_names_whose_limit_it_is(worker: RunningWorker) -> None:
    limit = limited(worker, "spend", "day", 1)
    message = (await ask(worker)).json()["error"]["message"]
    assert f"the key {limit.subject}" in message
    assert "$0.000000001 per day" in message
