"""`[auto.NAME]`: virtual models beside `auto`, each with its own tiers, rules, target and lessons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.fixtures.learner import learning
from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import Upstream, running_upstream
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.test_auto import CHAT, LARGE, SMALL, said, settings
from tests.gateway.test_learning import knowing
from weebill.auto.learning import TOPIC, StandingQuestion
from weebill.auto.standing import Standing
from weebill.config.auto import AuditSettings, AutoSettings, CascadeSettings, Rule, TargetSettings
from weebill.config.schema import Settings
from weebill.process.messages import Reload
from weebill.process.questions import Questions
from weebill.storage.experiments import open_experiments

SUPPORT = "support"
EVERYTHING_SMALL, EVERYTHING_LARGE = TargetSettings(share=0), TargetSettings(share=1)


def one(**fields: Any) -> AutoSettings:
    fields.setdefault("target", EVERYTHING_SMALL)
    return AutoSettings(small=SMALL, large=LARGE, abilities=False, cascade=CascadeSettings(checks=()), **fields)


def several(small: Upstream, large: Upstream, auto: AutoSettings, **named: AutoSettings) -> Settings:
    return msgspec.structs.replace(settings(small, large, auto), named_autos=named)


class Asked:
    def __init__(self, worker: RunningWorker, small: Upstream, large: Upstream) -> None:
        self.worker, self.small, self.large = worker, small, large

    async def route_of(self, model: str, text: str = "The capital of France?") -> str:
        response = await self.ask(model, text)
        assert response.status_code == 200, response.text
        return str(response.headers["x-weebill-route"])

    async def ask(self, model: str, text: str = "The capital of France?") -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        return await self.worker.client.post(CHAT, json=body)


@asynccontextmanager
async def asking(folder: Path, auto: AutoSettings, **named: AutoSettings) -> AsyncIterator[Asked]:
    async with running_upstream() as small, running_upstream() as large:
        small.script, large.script = knowing("Spain"), knowing()
        async with running_worker(folder / "home", several(small, large, auto, **named)) as worker:
            yield Asked(worker, small, large)


async def test_each_has_its_own_rules_and_target(tmp_path: Path) -> None:
    stakes = one(high_stakes=(Rule(regex="contract"),))
    async with asking(tmp_path, one(), support=one(target=EVERYTHING_LARGE), legal=stakes) as asked:
        assert ";auto:small(gain " in await asked.route_of("auto")
        assert ";support:large(gain " in await asked.route_of(SUPPORT)
        assert ";legal:small(gain " in await asked.route_of("legal")
        assert ";legal:large(high_stakes[1])" in await asked.route_of("legal", "Read this contract.")
        assert ";auto:small(gain " in await asked.route_of("auto", "Read this contract.")
        # A suffix sorts the deployments of the tier, as with any name.
        assert ";support:large(gain " in await asked.route_of("support:floor")


async def test_they_are_listed_and_their_use_is_recorded_under_their_name(tmp_path: Path) -> None:
    async with asking(tmp_path, AutoSettings(), support=one()) as asked:
        models = {each["id"]: each for each in (await asked.worker.client.get("/v1/models")).json()["data"]}
        assert models[SUPPORT]["owned_by"] == "weebill"
        assert "auto" not in models
        await asked.route_of(SUPPORT)
        assert (await asked.worker.record()).model_asked == SUPPORT
        assert (await asked.ask("auto")).status_code == 404


async def test_each_learns_of_its_own_traffic(tmp_path: Path) -> None:
    """From the worker's draw to the lesson and back, and the metrics of each."""
    truth = {"target": TargetSettings(quality=0.9), "audits": AuditSettings(judge="compare")}
    async with asking(tmp_path, one(**truth), support=one(**truth)) as asked:
        pair = several(asked.small, asked.large, one(**truth), support=one(**truth))
        with learning(asked.worker.home, pair):
            learner = Questions(asked.worker.home.learner_socket)
            async with asyncio.timeout(60):
                while (found := await standings(learner)).get("auto", 0) < 3 or found.get(SUPPORT, 0) < 1:
                    await asked.route_of("auto")
                    if found.get("auto", 0) >= 3:
                        await asked.route_of(SUPPORT)
                    await asyncio.sleep(0.05)
            learner.close()
            records = {each.key_id for each in asked.worker.records() if each.key_id.startswith("audit:")}
            assert records == {"audit:auto", "audit:support"}
            async with asyncio.timeout(30):
                while 'weebill_auto_audits{auto="support"}' not in (text := await metrics(asked.worker)):
                    await asyncio.sleep(0.1)
            assert 'weebill_auto_audits{auto="auto"}' in text


async def standings(learner: Questions) -> dict[str, int]:
    answer = await learner.ask(TOPIC, StandingQuestion())
    return {each.auto: each.audits for each in msgspec.msgpack.decode(answer, type=list[Standing])}


async def metrics(worker: RunningWorker) -> str:
    return (await worker.client.get("/metrics")).text


async def test_a_reload_leaves_the_threshold_of_those_that_stay(tmp_path: Path) -> None:
    async with asking(tmp_path, one(target=TargetSettings(share=0.5)), support=one()) as asked:
        for _ in range(40):
            await asked.route_of("auto")
        moved = await threshold(asked.worker, "auto")
        assert moved != await threshold(asked.worker, SUPPORT)
        changed = several(asked.small, asked.large, one(target=TargetSettings(share=0.5)), legal=one())
        asked.worker.link.send(Reload(settings=changed))
        async with asyncio.timeout(30):
            while (await asked.ask("legal")).status_code == 404:
                await asyncio.sleep(0.05)
            while 'auto="support"' in await metrics(asked.worker):
                await asyncio.sleep(0.05)
        assert await threshold(asked.worker, "auto") == moved
        assert (await asked.ask(SUPPORT)).status_code == 404


async def threshold(worker: RunningWorker, auto: str) -> str:
    """The threshold in the metrics, once it is there and rests."""
    start = f'weebill_auto_threshold_millionths{{worker="0",auto="{auto}",target="share"}} '
    before, value = "", ""
    async with asyncio.timeout(30):
        while not value or value != before:
            await asyncio.sleep(0.6)  # they are told four times a second
            lines = (await metrics(worker)).splitlines()
            before, value = value, "".join(line.removeprefix(start) for line in lines if line.startswith(start))
    return value


async def test_an_experiment_may_compare_two(tmp_path: Path) -> None:
    async with asking(tmp_path, one(), support=one(target=EVERYTHING_LARGE)) as asked:
        with open_experiments(asked.worker.home, SQLITE) as experiments:
            experiments.create("other", "auto", SUPPORT, 1.0, False)
        async with asyncio.timeout(30):
            while "experiment=other/candidate" not in (route := await asked.route_of("auto")):
                await asyncio.sleep(0.05)
        assert ";support:large(gain " in route
        assert said(await asked.ask("auto")) == "Paris"
