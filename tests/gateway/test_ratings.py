"""Ratings: one key leaves room for those of others, and metadata of any size delays nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from tests.fixtures.ledger import SQLITE
from tests.gateway.test_learning import auto, learning_pair
from weebill.config.auto import TargetSettings
from weebill.storage.keys import open_keys


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
        assert set(codes) == {404, 429}
        refused = answers[codes.index(429)]
        assert refused.json()["error"]["code"] == "too_many_ratings"
        assert refused.headers["retry-after"]
        # Once they are over, it may rate again.
        assert (await pair.rate(headers, request_id="none", score=1)).status_code == 404


async def test_metadata_that_is_too_long_rates_nothing(tmp_path: Path) -> None:
    async with learning_pair(tmp_path, auto(target=TargetSettings(share=0))) as pair:
        request_id = (await pair.ask("The capital of France?")).headers["x-request-id"]
        assert (await pair.rate(request_id=request_id, score=0)).status_code == 202
        for more in ({"weebill_score": "0." + "9" * 100}, {"weebill_score": "1", "more": "x" * 70_000}):
            await pair.ask("Thanks", metadata={"weebill_feedback_for": request_id, **more})
        rated = {"weebill_feedback_for": request_id, "weebill_score": "0.5"}
        await pair.ask("Thanks", metadata=rated)
        async with asyncio.timeout(30):
            while (standing := await pair.standing()) is None or standing.mean_rating != 0.5:
                assert standing is None or standing.mean_rating in (0, 0.5)
                await asyncio.sleep(0.05)
