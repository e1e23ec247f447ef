"""Requests of keys with limits: what is admitted, what is refused and how, and what answers say of what is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest

from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import STREAM_HEAD, Request, Upstream, answer, chunk, complete, completion, framed
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.conftest import settings
from weebill.config.limits import LimitSettings
from weebill.config.schema import Settings
from weebill.limits.limit import Limit, Measure, Window
from weebill.limits.setting import Limits
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger

CHAT = "/v1/chat/completions"
ASKED: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 100,
}
MESSAGES = {**ASKED, "max_tokens": 100}


def priced(upstream: Upstream, **limits: Any) -> Settings:
    """An upstream with OpenAI's prices, and one whose prices nobody knows."""
    plain = settings(upstream)
    acme = msgspec.structs.replace(
        plain.providers["acme"], catalog="openai", models=("gpt-4o-mini", "gpt-4o"), max_connections=64
    )
    unknown = msgspec.structs.replace(plain.providers["acme"], catalog="none", models=("mystery",))
    return msgspec.structs.replace(plain, providers={"acme": acme, "unknown": unknown}, limits=LimitSettings(**limits))


@pytest.fixture
async def worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    async with running_worker(tmp_path / "home", priced(upstream)) as running:
        yield running


def limited(worker: RunningWorker, measure: Measure, window: Window, amount: int, **more: Any) -> Limit:
    """Sets a limit of the worker's key before it is known."""
    with open_ledger(worker.home, SQLITE) as ledger:
        return Limits(StoredLimits(ledger)).set("test", measure, window, amount, **more)


async def ask(worker: RunningWorker, **changed: Any) -> httpx.Response:
    return await worker.client.post(CHAT, json={**ASKED, **changed})


async def test_requests_are_counted_and_the_next_one_refused(worker: RunningWorker) -> None:
    limited(worker, "requests", "day", 3)
    answers = [await ask(worker) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 200]
    assert [each.headers["x-ratelimit-remaining-requests"] for each in answers] == ["2", "1", "0"]
    assert {each.headers["x-ratelimit-limit-requests"] for each in answers} == {"3"}
    refused = await ask(worker)
    assert refused.status_code == 429
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-limit-requests"] == "3"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert "3 requests per day" in error["message"]
    assert "key_" in error["message"]


async def test_a_request_that_is_refused_here_takes_nothing(worker: RunningWorker) -> None:
    limited(worker, "requests", "day", 1)
    for _ in range(3):
        assert (await ask(worker, model="nobody-has-it")).status_code == 404
    assert (await ask(worker)).status_code == 200


async def test_many_at_once_are_as_many_as_there_may_be(worker: RunningWorker, upstream: Upstream) -> None:
    limited(worker, "requests", "day", 20)
    statuses = [each.status_code for each in await asyncio.gather(*(ask(worker) for _ in range(50)))]
    assert statuses.count(200) == 20
    assert statuses.count(429) == 30
    assert len(upstream.requests) == 20


async def test_tokens_are_reserved_and_settled(worker: RunningWorker) -> None:
    limited(worker, "tokens", "day", 1000)
    first = await ask(worker)
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    reserved = 1000 - int(first.headers["x-ratelimit-remaining-tokens"])
    assert 100 < reserved < 500
    used = sum(first.json()["usage"][name] for name in ("prompt_tokens", "completion_tokens"))
    second = await ask(worker)
    assert int(second.headers["x-ratelimit-remaining-tokens"]) == 1000 - used - reserved


async def test_a_request_that_may_take_more_than_there_is_says_what_to_ask_for(worker: RunningWorker) -> None:
    limited(worker, "tokens", "minute", 1000)
    refused = await ask(worker, max_tokens=5000)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("limit_too_small", "tokens")
    assert "max_tokens" in error["message"]
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers


async def test_money_that_is_used_up_is_a_402_that_no_sdk_repeats(worker: RunningWorker, upstream: Upstream) -> None:
    limited(worker, "spend", "none", 120_000)  # nano-dollars: a request may cost some 80,000
    client = openai.AsyncOpenAI(base_url=f"{worker.url}/v1", api_key=worker.key)
    async with client:
        for _ in range(1000):
            try:
                await client.chat.completions.create(**ASKED)
            except openai.APIStatusError as error:
                refused = error
                break
    assert refused.status_code == 402
    assert refused.code == "insufficient_quota"
    assert "$0.00012" in refused.message
    records = worker.records()
    assert len(upstream.requests) == len(records) - 1
    spent = sum(record.cost_nano or 0 for record in records)
    assert spent <= 120_000
    assert spent > 120_000 - 90_000


async def test_an_unknown_price_is_refused_under_a_limit_of_spend(worker: RunningWorker, upstream: Upstream) -> None:
    limited(worker, "spend", "none", 10**9)
    refused = await ask(worker, model="mystery")
    assert refused.status_code == 402
    assert refused.json()["error"]["code"] == "unknown_price"
    assert not upstream.requests
    assert (await ask(worker)).status_code == 200


async def test_an_unknown_price_may_count_as_free(tmp_path: Path, upstream: Upstream) -> None:
    async with running_worker(tmp_path / "free", priced(upstream, unpriced="free")) as worker:
        limited(worker, "spend", "none", 10**9)
        assert (await ask(worker, model="mystery")).status_code == 200


async def test_one_limit_at_once_is_free_again_when_the_request_ends(worker: RunningWorker, upstream: Upstream) -> None:
    limited(worker, "concurrent", "none", 1)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await go_on.wait()
        writer.write(answer(200, json.dumps(completion()).encode()))

    upstream.script = slow
    first = asyncio.create_task(ask(worker))
    await begun.wait()
    refused = await ask(worker)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    go_on.set()
    assert (await first).status_code == 200
    assert (await ask(worker)).status_code == 200


async def test_a_limit_is_for_the_models_that_it_names(worker: RunningWorker) -> None:
    limited(worker, "requests", "day", 1, model="gpt-4o*")
    assert (await ask(worker)).status_code == 200
    assert (await ask(worker)).status_code == 429
    assert (await ask(worker, model="gpt-4o-mini:nitro")).status_code == 429
    assert (await ask(worker, model="large", models=["gpt-4o"])).status_code == 429
    other = await ask(worker, model="large")
    assert other.status_code == 200
    assert "x-ratelimit-limit-requests" not in other.headers


async def test_the_record_says_what_it_was_held_to(worker: RunningWorker) -> None:
    one, two = limited(worker, "requests", "day", 5), limited(worker, "spend", "month", 10**9)
    await ask(worker)
    assert (await worker.record()).held == f"{one.id},{two.id}"


@pytest.mark.parametrize("measure", ["tokens", "spend"])
async def test_the_record_says_if_more_was_used_than_was_reserved(
    worker: RunningWorker, upstream: Upstream, measure: Measure
) -> None:
    limited(worker, measure, "day", 10**9)
    await ask(worker)
    assert (await worker.record()).flags == ""
    usage = {"prompt_tokens": 5000, "completion_tokens": 5, "total_tokens": 5005}  # of a tool of the provider's, say
    upstream.script = complete(completion(usage=usage))
    await ask(worker)
    assert (await worker.record(2)).flags == "over_bound"


async def test_a_changed_limit_holds_within_a_second(worker: RunningWorker) -> None:
    limited(worker, "requests", "day", 100)
    assert (await ask(worker)).status_code == 200
    limited(worker, "requests", "day", 1)
    async with asyncio.timeout(60):
        while (await ask(worker)).status_code != 429:
            await asyncio.sleep(0.1)
    limited(worker, "requests", "day", 100)
    async with asyncio.timeout(60):
        while (await ask(worker)).status_code != 200:
            await asyncio.sleep(0.1)


async def test_a_client_that_leaves_gives_back_what_it_did_not_use(worker: RunningWorker, upstream: Upstream) -> None:
    limited(worker, "tokens", "day", 1000)
    begun = asyncio.Event()

    async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + framed(chunk("a")))
        begun.set()
        await asyncio.sleep(3600)

    upstream.script, plain = endless, upstream.script
    async with worker.client.stream("POST", CHAT, json={**ASKED, "stream": True, "max_tokens": 500}):
        await begun.wait()
    record = await worker.record()
    assert record.outcome == "client_cancelled"
    upstream.script = plain
    answered = await ask(worker)
    assert answered.status_code == 200
    left = int(answered.headers["x-ratelimit-remaining-tokens"])
    assert left > 1000 - 500


SHAPES: list[tuple[str, dict[str, Any], Callable[[Any], object], object]] = [
    (CHAT, ASKED, lambda body: body["error"]["code"], "limit_too_small"),
    ("/v1/messages", MESSAGES, lambda body: (body["type"], body["error"]["type"]), ("error", "rate_limit_error")),
    (
        "/v1beta/models/gpt-4o-mini:generateContent",
        {"contents": [{"parts": [{"text": "Hi"}]}]},
        lambda body: body["error"]["status"],
        "RESOURCE_EXHAUSTED",
    ),
    ("/api/chat", ASKED, lambda body: "requests per day" in body["error"], True),
]


@pytest.mark.parametrize("shape", SHAPES, ids=["chat", "messages", "gemini", "ollama"])
async def test_refusals_are_in_the_clients_format(
    worker: RunningWorker, shape: tuple[str, dict[str, Any], Callable[[Any], object], object]
) -> None:
    path, body, code, expected = shape
    limited(worker, "requests", "day", 0)
    refused = await worker.client.post(path, json=body)
    assert refused.status_code == 429
    assert code(refused.json()) == expected


@pytest.mark.parametrize(("measure", "amount", "status"), [("requests", 0, 429), ("spend", 1, 402)])
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/embeddings"])
async def test_refusals_say_what_is_left_of_each_kind(
    worker: RunningWorker, path: str, measure: Measure, amount: int, status: int
) -> None:
    limited(worker, "tokens", "day", 1_000_000)
    limited(worker, "requests", "month", 5)
    limited(worker, measure, "day", amount)
    line = "anthropic-ratelimit-{}-remaining" if path == "/v1/messages" else "x-ratelimit-remaining-{}"
    refused = await worker.client.post(path, json={**MESSAGES, "input": "Hi"})
    assert refused.status_code == status, refused.text
    assert refused.headers[line.format("requests")] == ("0" if status == 429 else "4")
    assert 900_000 < int(refused.headers[line.format("tokens")]) <= 1_000_000


CONTENTS = {"contents": [{"parts": [{"text": "Hi"}]}]}
ADVISED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {}, "A smaller `max_tokens` or `max_completion_tokens` lowers"),
    ("/v1/completions", {"prompt": "Hi"}, "A smaller `max_tokens` lowers"),
    ("/v1/messages", {}, "A smaller `max_tokens` lowers"),
    ("/v1/responses", {"input": "Hi"}, "A smaller `max_output_tokens` lowers"),
    ("/v1beta/models/gpt-4o-mini:generateContent", CONTENTS, "A smaller `generationConfig.maxOutputTokens` lowers"),
    ("/api/chat", {}, "A smaller `options.num_predict` lowers"),
    ("/api/generate", {"prompt": "Hi"}, "A smaller `options.num_predict` lowers"),
    ("/v1/embeddings", {"input": "Hi"}, ""),
    ("/api/embed", {"input": "Hi"}, ""),
]


@pytest.mark.parametrize(("path", "body", "advice"), ADVISED, ids=[path for path, _, _ in ADVISED])
async def test_who_may_ask_for_less_is_told_by_which_field(
    worker: RunningWorker, path: str, body: dict[str, Any], advice: str
) -> None:
    asked = body if body is CONTENTS else {**({} if "input" in body else MESSAGES), "model": "gpt-4o-mini", **body}
    limited(worker, "spend", "day", 1)
    refused = await worker.client.post(path, json=asked)
    assert refused.status_code == 402, refused.text
    assert "more than the limit of $0.000000001 per day" in refused.text
    assert advice in refused.text
    assert ("smaller" in refused.text) == bool(advice)


async def test_nobody_is_told_to_ask_for_less_where_nothing_is_left(worker: RunningWorker) -> None:
    limited(worker, "spend", "day", 0)
    refused = await ask(worker)
    assert refused.status_code == 402
    assert "smaller" not in refused.text


async def test_anthropics_headers_are_for_anthropics_clients(worker: RunningWorker) -> None:
    limited(worker, "requests", "minute", 10)
    answered = await worker.client.post("/v1/messages", json=MESSAGES)
    assert answered.status_code == 200
    assert answered.headers["anthropic-ratelimit-requests-limit"] == "10"
    assert answered.headers["anthropic-ratelimit-requests-remaining"] == "9"
    assert answered.headers["anthropic-ratelimit-requests-reset"].endswith("00Z")
    assert "x-ratelimit-limit-requests" not in answered.headers


async def test_other_endpoints_are_held_to_the_same_limits(worker: RunningWorker, upstream: Upstream) -> None:
    limited(worker, "requests", "day", 1)
    body = {"object": "list", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    upstream.script = _always(answer(200, json.dumps(body).encode()))
    asked = {"model": "gpt-4o-mini", "input": "Hi"}
    assert (await worker.client.post("/v1/embeddings", json=asked)).status_code == 200
    assert (await worker.client.post("/v1/embeddings", json=asked)).status_code == 429


def _always(data: bytes) -> Callable[[Request, asyncio.StreamWriter], Any]:
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return script
