"""Ratings: one key leaves room for those of others, and metadata of any size delays nobody."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import cast

import httpx
import msgspec
import pytest

from tests.fixtures.ledger import SQLITE
from tests.fixtures.worker import RunningWorker
from tests.gateway.test_learning import auto, learning_pair
from weebill.config.auto import TargetSettings
from weebill.gateway.authentication import Authenticator
from weebill.gateway.feedback import Ratings
from weebill.gateway.recorder import Recorder
from weebill.storage.keys import open_keys
from weebill.usage.records import Rating


async def test_a_key_that_rates_without_end_leaves_room_for_others(tmp_path: Path) -> None:
    """Ratings of requests that are not known wait for a moment, so they pile up."""
    async with learning_pair(tmp_path, auto(target=TargetSettings(share=0))) as pair:
        request_id = (await pair.ask("The capital of France?")).headers["x-request-id"]
        assert (await pair.rate(request_id=request_id, score=1)).status_code == 202
        with open_keys(pair.worker.home, SQLITE) as keys:
            other = keys.create("other").secret
        limits = httpx.Limits(max_connections=200)
        headers = {"authorization": f"Bearer {other}"}
        async with httpx.AsyncClient(
            base_url=pair.worker.url, headers=headers, timeout=60, limits=limits, trust_env=False
        ) as hostile:
            flood = [
                asyncio.create_task(hostile.post("/v1/feedback", json={"request_id": f"none-{at}", "score": 1}))
                for at in range(200)
            ]
            await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
            assert (await pair.rate(request_id=request_id, score=0)).status_code == 202
            answers = [await each for each in flood]
        codes = [each.status_code for each in answers]
        assert set(codes) == {202, 429}
        refused = answers[codes.index(429)]
        assert refused.json()["error"]["code"] == "too_many_ratings"
        assert refused.headers["retry-after"]
        # Once they are over, it may rate again.
        assert (await pair.rate(headers, request_id="none", score=1)).status_code == 202


async def test_metadata_that_is_too_long_rates_nothing(tmp_path: Path) -> None:
    async with learning_pair(tmp_path, auto(target=TargetSettings(share=0))) as pair:
        request_id = (await pair.ask("The capital of France?")).headers["x-request-id"]
        assert (await pair.rate(request_id=request_id, score=0)).status_code == 202
        async with asyncio.timeout(30):
            while (standing := await pair.standing()) is None or standing.mean_rating != 0:
                await asyncio.sleep(0.05)
        for more in ({"weebill_score": "0." + "9" * 100}, {"weebill_score": "1", "more": "x" * 70_000}):
            await pair.ask("Thanks", metadata={"weebill_feedback_for": request_id, **more})
        rated = {"weebill_feedback_for": request_id, "weebill_score": "0.5"}
        await pair.ask("Thanks", metadata=rated)
        async with asyncio.timeout(30):
            while (standing := await pair.standing()) is None or standing.mean_rating != 0.5:
                assert standing is None or standing.mean_rating in (0, 0.5)
                await asyncio.sleep(0.05)


def journalled(worker: RunningWorker) -> list[Rating]:
    lines = b"".join(each.read_bytes().partition(b"\0")[0] for each in sorted(worker.home.journal.glob("*.jsonl")))
    return [msgspec.json.decode(line, type=Rating) for line in lines.splitlines() if line.startswith(b"{")]


async def test_any_answer_can_be_rated_without_auto(worker: RunningWorker) -> None:
    path, body = "/v1/feedback", {"request_id": "req_a", "score": 0.123456789, "comment": "so so"}
    answer = await worker.client.post(path, json=body)
    assert (answer.status_code, answer.json()) == (
        202,
        {"object": "feedback", "status": "accepted", "request_id": "req_a", "score": 0.123456789, "tier": None},
    )
    chat = {"model": "none", "messages": [{"role": "user", "content": "Hi"}]}
    for metadata in ({"weebill_feedback_for": "req_b", "weebill_score": "1"}, {"a": "weebill_feedback_for"}):
        await worker.client.post("/v1/chat/completions", json={**chat, "metadata": metadata})
    found = journalled(worker)
    assert [(each.request_id, each.score_micro, each.comment) for each in found] == [
        ("req_a", 123_457, "so so"),
        ("req_b", 1_000_000, ""),
    ]
    assert len({each.key_id for each in found}) == 1


def test_a_key_writes_so_many_ratings_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(topic: str, question: object) -> msgspec.Raw:
        raise AssertionError

    taken = Ratings(cast("Authenticator", None), cast("Recorder", None), nobody, lambda: False)
    now = 1.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert [taken.admits("key_1") for _ in range(120)] == [True] * 100 + [False] * 20
    assert taken.admits("key_2")
    now = 2.0
    assert taken.admits("key_1")
