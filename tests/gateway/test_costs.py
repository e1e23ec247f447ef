"""What requests cost, at accounts under names of their own, as their records say: known, reported, or not known."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fixtures.upstream import DONE, Upstream, answer, chunk, complete, completion, send, stream
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.catalog.load import load
from weebill.catalog.pricing import cost_nano
from weebill.config.load import Sources
from weebill.config.load import load as load_settings
from weebill.config.paths import Home
from weebill.usage.records import UsageRecord
from weebill.wire.reply import Usage

CHAT: Final = "/v1/chat/completions"
HELLO: Final[dict[str, Any]] = {"messages": [{"role": "user", "content": "hi"}]}
OPENROUTER: Final = "openai/gpt-4o-mini"
CONFIGURED: Final = """
[local]
models = []
[catalog]
activate = false
[providers.lab]
catalog = "openai"
base_url = "{url}"
api_key = "k"
models = ["gpt-4o-mini"]
[providers.team]
catalog = "openrouter"
base_url = "{url}"
api_key = "k"
models = ["openai/gpt-4o-mini", "new/model"]
[providers.acme]
base_url = "{url}"
api_key = "k"
models = ["own"]
"""


@pytest.fixture
async def worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    file = tmp_path / "weebill.toml"
    file.write_text(CONFIGURED.format(url=upstream.base_url))
    settings = load_settings(Sources(Home(tmp_path / "home"), {}, {("server", "port"): 0}, file)).settings
    async with running_worker(tmp_path / "home", settings) as running:
        yield running


def listed(provider: str, model: str, usage: Usage) -> int:
    found = load().served(provider, model)
    assert found is not None
    assert found[1].price is not None
    return cost_nano(found[1].price, usage)


USED: Final = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
OPENAI_COST: Final = listed("openai", "gpt-4o-mini", Usage.reported(1000, 100))
OPENROUTER_COST: Final = listed("openrouter", OPENROUTER, Usage.reported(1000, 100))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("model", "said", "nano", "is_reported"),
    [
        ("lab/gpt-4o-mini", {}, OPENAI_COST, False),
        ("lab/gpt-4o-mini", {"cost": 9.0}, OPENAI_COST, False),
        (f"team/{OPENROUTER}", {}, OPENROUTER_COST, False),
        (f"team/{OPENROUTER}", {"cost": 0.0001, "is_byok": False}, 100_000, True),
        (f"team/{OPENROUTER}", {"cost": 0}, 0, True),
        ("team/new/model", {"cost": 0.0001}, 100_000, True),
        ("team/new/model", {}, None, False),
        ("acme/own", {}, None, False),
        ("acme/own", {"cost": 0.0001}, None, False),
    ],
)
async def test_a_record_says_what_is_known_of_its_cost(
    worker: RunningWorker, upstream: Upstream, streamed: bool, model: str, said: dict[str, object],
    nano: int | None, is_reported: bool,
) -> None:  # fmt: skip
    usage = {**USED, **said}
    if streamed:
        last = b"data: " + json.dumps({"id": "c", "choices": [], "usage": usage}).encode() + b"\n\n"
        upstream.script = stream(chunk("Hi", begins=True), chunk("", "stop"), last, DONE)
    else:
        upstream.script = complete({**completion(), "usage": usage})
    response = await worker.client.post(CHAT, json={**HELLO, "model": model, "stream": streamed})
    assert response.status_code == 200, response.text
    record = await worker.record()
    assert (record.cost_nano, record.cost_reported) == (nano, is_reported)
    assert (record.prompt_tokens, record.completion_tokens, record.upstream) == (1000, 100, model.partition("/")[0])


async def test_what_was_refused_cost_nothing(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = send(answer(400, b'{"error": {"message": "No.", "type": "invalid_request_error"}}'))
    response = await worker.client.post(CHAT, json={**HELLO, "model": "acme/own"})
    assert response.status_code == 400
    assert (await worker.record()).cost_nano == 0


@pytest.mark.parametrize("tokens", [2**32 + 1, 2**63, 10**30])
async def test_a_count_beyond_reason_takes_nothing_with_it(
    worker: RunningWorker, upstream: Upstream, tokens: int
) -> None:
    """Neither the record, nor the metrics, nor the next request's."""
    upstream.script = complete({**completion(), "usage": {**USED, "prompt_tokens": tokens}})
    for count in (1, 2, 3):
        response = await worker.client.post(CHAT, json={**HELLO, "model": "lab/gpt-4o-mini"})
        assert response.status_code == 200, response.text
        record: UsageRecord = await worker.record(count)
        assert record.prompt_tokens == min(tokens, 2**53 - 1)
    upstream.script = complete({**completion(), "usage": USED})
    assert (await worker.client.post(CHAT, json={**HELLO, "model": "lab/gpt-4o-mini"})).status_code == 200
    assert (await worker.record(4)).cost_nano == OPENAI_COST
    metrics = (await worker.client.get("/metrics")).text
    assert 'weebill_requests_total{endpoint="chat.completions",status="200"} 4' in metrics
