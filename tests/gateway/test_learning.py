"""`auto` learns from audits, through a real worker and the learner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.fixtures.learner import learning
from tests.fixtures.upstream import Request, Script, Upstream, answer, completion, running_upstream
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.test_auto import CHAT, LARGE, SMALL, settings
from weebill.auto.learning import TOPIC, StandingQuestion
from weebill.auto.standing import Standing, sentence
from weebill.config.auto import AutoSettings, CascadeSettings, TargetSettings
from weebill.process.questions import Questions

TOWNS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo"}


def auto(**more: Any) -> AutoSettings:
    return AutoSettings(small=SMALL, large=LARGE, cascade=CascadeSettings(checks=("refusal",)), **more)


def knowing(wrong: str = "") -> Script:
    """Name the capital; say "Atlantis" to questions with the word `wrong`."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        messages: Any = request.json["messages"]
        asked: str = messages[-1]["content"]
        town = next((town for country, town in TOWNS.items() if country in asked), "none")
        if wrong and wrong in asked:
            town = "Atlantis"
        writer.write(answer(200, json.dumps(completion(town)).encode()))

    return script


class Learning:
    """A worker in front of a pair, and the learner."""

    def __init__(self, worker: RunningWorker, small: Upstream, large: Upstream, learner: Questions) -> None:
        self.worker, self.small, self.large = worker, small, large
        self._learner = learner

    async def ask(self, text: str, **fields: Any) -> Any:
        body = {"model": "auto", "messages": [{"role": "user", "content": text}], **fields}
        response = await self.worker.client.post(CHAT, json=body)
        assert response.status_code == 200, response.text
        return response

    async def standing(self) -> Standing | None:
        return msgspec.msgpack.decode(await self._learner.ask(TOPIC, StandingQuestion()), type=Standing | None)

    async def audits(self, count: int) -> Standing:
        """The standing once that many audits are judged."""
        async with asyncio.timeout(30):
            while (standing := await self.standing()) is None or standing.audits < count:
                await asyncio.sleep(0.05)
        return standing


@asynccontextmanager
async def learning_pair(folder: Path, auto: AutoSettings) -> AsyncIterator[Learning]:
    async with running_upstream() as small, running_upstream() as large:
        small.script, large.script = knowing("Spain"), knowing()
        pair = settings(small, large, auto)
        async with running_worker(folder / "home", pair) as worker:
            with learning(worker.home, pair):
                learner = Questions(worker.home.learner_socket)
                try:
                    yield Learning(worker, small, large, learner)
                finally:
                    learner.close()


async def until_followed(pair: Learning) -> None:
    """Wait until the worker knows that there is a learner: then the small tier is asked in the background."""
    async with asyncio.timeout(30):
        while not pair.small.requests:
            await pair.ask("The capital of France?")
            await asyncio.sleep(0.05)


async def test_until_the_truth_is_known_the_large_tier_answers_and_both_are_asked(tmp_path: Path) -> None:
    async with learning_pair(tmp_path, auto()) as pair:
        await until_followed(pair)
        response = await pair.ask("What is the capital of Spain?")
        assert ";auto:large(quality not yet known)" in response.headers["x-weebill-route"]
        assert response.json()["choices"][0]["message"]["content"] == "Madrid"
        standing = await pair.audits(2)
        assert standing.quality is None
        assert sentence(standing).startswith("the quality is not yet known (")
        assert pair.small.requests[-1].json["messages"] == [
            {"role": "user", "content": "What is the capital of Spain?"}
        ]
        assert "stream" not in pair.small.requests[-1].json or not pair.small.requests[-1].json["stream"]


async def test_what_is_scripted_is_what_is_learnt(tmp_path: Path) -> None:
    """The small tier is right but for one country; after enough audits, the others stay small."""
    async with learning_pair(tmp_path, auto(target=TargetSettings(quality=0.7))) as pair:
        await until_followed(pair)
        for _ in range(10):
            for country in TOWNS:
                await pair.ask(f"What is the capital of {country}?")
        standing = await pair.audits(40)
        assert standing.quality == (1, 1, 1)  # so far, all were answered by the large one
        async with asyncio.timeout(30):
            while ";auto:small(" not in (await pair.ask("The capital of Italy?")).headers["x-weebill-route"]:
                await asyncio.sleep(0.1)
        for _ in range(10):
            for country in TOWNS:
                await pair.ask(f"What is the capital of {country}?", stream=True)
        standing = await pair.audits(80)
        assert standing.quality is not None
        assert standing.large_share < 1
