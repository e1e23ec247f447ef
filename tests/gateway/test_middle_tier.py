"""The middle tier: what it answers is audited, too, and counts for the quality by its own score."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from tests.fixtures.learner import learning
from tests.fixtures.upstream import Upstream, complete, completion, running_upstream
from tests.fixtures.worker import running_worker
from tests.gateway.test_auto import LARGE, SMALL, settings
from tests.gateway.test_learning import Learning, knowing, until_followed
from weebill.config.auto import AutoSettings, CascadeSettings, TargetSettings
from weebill.config.schema import ProviderSettings, Settings
from weebill.process.questions import Questions

MID = "of-middle-size"
# Of all questions, one half is for the large tier, so the other is for the middle one, and nothing for the small one.
HALF = AutoSettings(
    small=SMALL, mid=MID, large=LARGE, abilities=False, target=TargetSettings(share=0.5),
    cascade=CascadeSettings(checks=("refusal",)),
)  # fmt: skip
QUESTIONS = ("The capital of France?", "Please prove, step by step, that the capital of Spain is what it is.")


def three(small: Upstream, mid: Upstream, large: Upstream) -> Settings:
    two = settings(small, large, HALF)
    middle = ProviderSettings(base_url=mid.base_url, api_key="k", models=(MID,))
    return msgspec.structs.replace(two, providers={**two.providers, "acme": middle})


@asynccontextmanager
async def running_three(folder: Path) -> AsyncIterator[tuple[Learning, Upstream]]:
    async with AsyncExitStack() as stack:
        small, mid, large = [await stack.enter_async_context(running_upstream()) for _ in range(3)]
        small.script, mid.script, large.script = knowing("Spain"), knowing("France"), knowing()
        chosen = three(small, mid, large)
        worker = await stack.enter_async_context(running_worker(folder / "home", chosen))
        with learning(worker.home, chosen):
            learner = Questions(worker.home.learner_socket)
            try:
                yield Learning(worker, small, large, learner), mid
            finally:
                learner.close()


async def ask_until(asked: Learning, audits: int) -> list[str]:
    routes = []
    async with asyncio.timeout(60):
        while (found := await asked.standing()) is None or found.audits < audits:
            routes += [await asked.route_of(each) for each in QUESTIONS]
            await asyncio.sleep(0.02)
    return routes


async def test_what_it_answers_counts_by_its_own_score(tmp_path: Path) -> None:
    async with running_three(tmp_path) as (asked, _):
        await until_followed(asked)
        routes = await ask_until(asked, 24)
        assert {route.partition(";auto:")[2].partition("(")[0] for route in routes} >= {"mid"}
        # The small tier answers nobody, and is asked whenever somebody else answers.
        assert asked.small.requests
        assert all("small" not in route.partition(";auto:")[2] for route in routes)
        standing = await asked.standing()
        assert standing is not None
        assert standing.quality is not None
        # The middle one's Paris is Atlantis; where the small one would have been wrong, it is right.
        assert standing.quality.value < 1
        audits = [each for each in asked.worker.records() if each.key_id == "audit:auto"]
        assert {each.model_asked for each in audits} == {SMALL, LARGE}
        assert len({each.request_id for each in audits}) == len(audits)


async def test_its_answer_that_breaks_a_rule_is_worth_nothing(tmp_path: Path) -> None:
    async with running_three(tmp_path) as (asked, mid):
        mid.script = complete(completion("I can't help with that."))
        await until_followed(asked)
        routes = await ask_until(asked, 20)
        assert any(";auto:mid->large(check=refusal)" in route for route in routes)
        standing = await asked.standing()
        assert standing is not None
        # The clients got the large tier's answers, so nothing was lost.
        assert standing.quality is not None
        assert standing.quality.value == 1


async def test_it_can_be_rated(tmp_path: Path) -> None:
    async with running_three(tmp_path) as (asked, _):
        await until_followed(asked)
        async with asyncio.timeout(30):
            while ";auto:mid(" not in (response := await asked.ask(QUESTIONS[0])).headers["x-weebill-route"]:
                await asyncio.sleep(0.02)
        rated = await asked.rate(request_id=response.headers["x-request-id"], rating="good")
        assert rated.status_code == 202
        if (tier := rated.json()["tier"]) is None:  # the learner had not been told yet, and is asked again
            async with asyncio.timeout(30):
                while (standing := await asked.standing()) is None or not standing.ratings:
                    await asyncio.sleep(0.02)
        assert tier in ("mid", None)
        standing = await asked.standing()
        assert standing is not None
        assert (standing.ratings, standing.mean_rating) == (1, 1.0)
