"""`auto` learns from audits, through a real worker and the learner."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.fixtures.learner import learning
from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import (
    DONE,
    USAGE_CHUNK,
    Request,
    Script,
    Upstream,
    answer,
    chunk,
    complete,
    completion,
    running_upstream,
)
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.test_auto import CHAT, LARGE, SMALL, settings
from weebill.auto.learning import TOPIC, StandingQuestion
from weebill.auto.standing import Standing, sentence
from weebill.cli.auto import status
from weebill.cli.auto_export import export
from weebill.config.auto import AuditSettings, AutoSettings, CascadeSettings, OutcomeSettings, Rule, TargetSettings
from weebill.process.questions import Questions
from weebill.storage.keys import open_keys

TOWNS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo"}


def auto(**more: Any) -> AutoSettings:
    return AutoSettings(small=SMALL, large=LARGE, cascade=CascadeSettings(checks=("refusal",)), **more)


def town_in(asked: str) -> str:
    return next((town for country, town in TOWNS.items() if country in asked), "none")


def knowing(wrong: str = "") -> Script:
    """Name the capital; say "Atlantis" to questions with the word `wrong`."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        messages: Any = request.json["messages"]
        asked: str = messages[-1]["content"]
        town = "Atlantis" if wrong and wrong in asked else town_in(asked)
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

    async def route_of(self, text: str, **fields: Any) -> str:
        return str((await self.ask(text, **fields)).headers["x-weebill-route"])

    async def rate(self, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return await self.worker.client.post("/v1/feedback", json=body, headers=headers)

    async def standing(self) -> Standing | None:
        answer = await self._learner.ask(TOPIC, StandingQuestion())
        return next(iter(msgspec.msgpack.decode(answer, type=list[Standing])), None)

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


SUMS = ("What is {0} plus {1}?", "Add {0} to {1}.", "How much is {0} and {1} together?", "{0} + {1} = ?")
ASK = ("What is the capital of {0}?", "Name the capital city of {0}.", "Which town is the capital of {0}?")


def questions(count: int) -> list[str]:
    """Sums, which the small model cannot do, and capitals, which it knows, in turn."""
    countries = list(TOWNS)
    sums = [SUMS[at % len(SUMS)].format(at + 11, 3 * at + 7) for at in range(count // 2)]
    capitals = [ASK[at % len(ASK)].format(countries[at % len(countries)]) for at in range(count // 2)]
    return [each for pair in zip(sums, capitals, strict=True) for each in pair]


def adding(right: bool) -> Script:
    """Names capitals; adds two numbers if it is `right`, else says another number."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        messages: Any = request.json["messages"]
        asked: str = messages[-1]["content"]
        numbers = [int(each) for each in re.findall(r"\d+", asked)]
        said = str(sum(numbers) if right else 1) if numbers else town_in(asked)
        body = answer(200, json.dumps(completion(said)).encode())
        if request.json.get("stream"):
            events = [chunk(said, begins=True), chunk(finish="stop"), USAGE_CHUNK, DONE]
            head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            body = head.encode() + b"".join(events)
        writer.write(body)
        if request.json.get("stream"):
            await writer.drain()
            writer.close()

    return script


async def test_what_is_scripted_is_what_is_learnt(tmp_path: Path) -> None:
    """The small model knows capitals and cannot add: sums go to the large one, capitals stay, and that is right."""
    async with learning_pair(tmp_path, auto(target=TargetSettings(quality=0.9))) as pair:
        pair.small.script, pair.large.script = adding(right=False), adding(right=True)
        await until_followed(pair)
        for text in questions(160):
            await pair.ask(text)
        standing = await pair.audits(100)
        assert standing.quality is not None
        assert standing.quality.value == 1  # until then, all were answered by the large one
        async with asyncio.timeout(30):
            while "auto:small(" not in await pair.route_of("Name the capital city of Italy."):
                await asyncio.sleep(0.1)
        assert "auto:large(" in await pair.route_of("Add 31 to 67.")
        routes = [(text, await pair.route_of(text, stream=True)) for text in questions(60)]
        kept = [text for text, route in routes if "auto:small(" in route]
        wrong = sum(any(map(str.isdigit, text)) for text in kept)
        assert wrong <= 3
        assert len(kept) >= 25
        async with asyncio.timeout(30):
            while (told := await pair.standing()) is None or told.decisions < 160 + len(routes) + 2:
                await asyncio.sleep(0.1)
        standing = await pair.audits(105)
        assert standing.quality is not None
        assert standing.quality.low <= 1 - wrong / standing.decisions <= standing.quality.high
        assert 0.5 < standing.large_share < 1


async def test_an_answer_can_be_rated_by_the_key_that_got_it(tmp_path: Path) -> None:
    async with learning_pair(tmp_path, auto(target=TargetSettings(share=0))) as pair:
        response = await pair.ask("The capital of Spain?")
        request_id = response.headers["x-request-id"]
        async with asyncio.timeout(30):
            while (told := await pair.standing()) is None or not told.decisions:
                await asyncio.sleep(0.05)
        rated = await pair.rate(request_id=request_id, rating="bad", comment="It is not.")
        accepted = {"object": "feedback", "status": "accepted", "request_id": request_id, "score": 0.0}
        assert (rated.status_code, rated.json()) == (202, {**accepted, "tier": "small"})
        await pair.rate(request_id=request_id, score=0.5)
        standing = await pair.standing()
        assert standing is not None
        assert (standing.ratings, standing.mean_rating) == (1, 0.5)
        with open_keys(pair.worker.home, SQLITE) as keys:
            other = keys.create("other").secret
        # It is not said whether there is such a request: the learner takes no notice.
        others = await pair.rate({"authorization": f"Bearer {other}"}, request_id=request_id, score=1)
        unknown = await pair.rate({"authorization": f"Bearer {other}"}, request_id="req_unknown", score=1)
        assert (others.status_code, others.json()) == (202, {**unknown.json(), "request_id": request_id})
        assert others.json()["tier"] is None
        for wrong in ({"score": 2}, {"score": 1, "rating": "good"}, {}):
            assert (await pair.rate(request_id=request_id, **wrong)).status_code == 400
        # A later request may rate it, too.
        await pair.ask("Thanks", metadata={"weebill_feedback_for": request_id, "weebill_score": "1"})
        async with asyncio.timeout(30):
            while (standing := await pair.standing()) is None or standing.mean_rating != 1:
                await asyncio.sleep(0.05)


async def test_an_answer_that_is_rated_at_once_is_learnt_from(tmp_path: Path) -> None:
    async with learning_pair(tmp_path, auto(target=TargetSettings(share=0))) as pair:
        request_id = (await pair.ask("The capital of Spain?")).headers["x-request-id"]
        for score in (0, 0.25):
            assert (await pair.rate(request_id=request_id, score=score)).status_code == 202
        async with asyncio.timeout(30):
            while (standing := await pair.standing()) is None or standing.mean_rating != 0.25:
                await asyncio.sleep(0.05)
        assert standing.ratings == 1


ASKED_BY_API: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Spain's capital?"}]}),
    ("/v1/responses", {"input": "Spain's capital?"}),
    ("/v1/messages", {"messages": [{"role": "user", "content": "Spain's capital?"}], "max_tokens": 99}),
    ("/v1beta/models/auto:generateContent", {"contents": [{"role": "user", "parts": [{"text": "Spain's capital?"}]}]}),
    ("/v1beta/models/auto:streamGenerateContent?alt=sse", {"contents": [{"parts": [{"text": "Spain's capital?"}]}]}),
]


@pytest.mark.parametrize("stream", [False, True])
async def test_answers_in_all_apis_are_compared(tmp_path: Path, stream: bool) -> None:
    async with learning_pair(tmp_path, auto(target=TargetSettings(share=0))) as pair:
        pair.small.script = adding(right=True)
        async with asyncio.timeout(30):
            while not pair.large.requests:
                await pair.ask("The capital of France?")
                await asyncio.sleep(0.05)
        before = await pair.audits(1)
        for path, body in ASKED_BY_API:
            fields = {} if "v1beta" in path else {"model": "auto", "stream": stream}
            response = await pair.worker.client.post(path, json={**body, **fields})
            assert response.status_code == 200, response.text
            assert "Madrid" in response.text
        after = await pair.audits(before.audits + len(ASKED_BY_API))
        assert after.unjudged == 0
        assert after.quality is None or after.quality.value == 1


async def test_an_audit_is_metered_under_its_own_name(tmp_path: Path) -> None:
    async with learning_pair(tmp_path, auto()) as pair:
        await until_followed(pair)
        await pair.audits(1)
        records = [each for each in pair.worker.records() if each.key_id == "audit:auto"]
        assert {each.model_served for each in records} == {SMALL}
        assert all(each.request_id.endswith("-audit") for each in records)
        text = (await pair.worker.client.get("/metrics")).text
        async with asyncio.timeout(30):
            while "weebill_auto_audits 0\n" in text or "weebill_auto_audits" not in text:
                text = (await pair.worker.client.get("/metrics")).text


@pytest.mark.parametrize(
    ("prefers", "quality"),
    [
        ("A poem by the small one", 1.0),
        ("A poem by the large one", 0.0),
        ("<answer-1>", 0.5),  # whatever comes first
    ],
)
async def test_the_large_model_may_judge_texts(tmp_path: Path, prefers: str, quality: float) -> None:
    """It is asked twice, with the answers in either order; only its first choice of words counts here."""

    async def large(request: Request, writer: asyncio.StreamWriter) -> None:
        messages: Any = request.json["messages"]
        asked: str = messages[-1]["content"]
        said = "A poem by the large one, which goes on and on, and has more than a few words"
        if "<answer-1>" in asked:
            first = asked[asked.index("<answer-1>") : asked.index("</answer-1>")]
            said = "1" if prefers in first else "2"
        writer.write(answer(200, json.dumps(completion(said)).encode()))

    small = complete(completion("A poem by the small one, which goes on and on, and has more than a few words"))
    judged = auto(audits=AuditSettings(judge="large"), target=TargetSettings(share=0))
    async with learning_pair(tmp_path, judged) as pair:
        pair.small.script, pair.large.script = small, large
        async with asyncio.timeout(30):
            while not pair.large.requests:
                await pair.ask("Write a poem")
                await asyncio.sleep(0.05)
        for _ in range(20):
            await pair.ask("Write a poem")
        standing = await pair.audits(20)
        assert standing.quality is not None
        assert standing.quality.value == pytest.approx(quality)


async def test_an_answer_that_is_too_long_to_be_read_back_is_no_failure(tmp_path: Path) -> None:
    async with learning_pair(tmp_path, auto(target=TargetSettings(share=0))) as pair:
        pair.small.script = complete(completion("Paris " * 200_000))
        async with asyncio.timeout(30):
            while (standing := await pair.standing()) is None or not standing.unjudged:
                await pair.ask("The capital of France?")
                await asyncio.sleep(0.1)
        assert standing.audits == 0


async def test_an_audit_is_stored_nowhere(tmp_path: Path) -> None:
    """The client wants its own answer stored; it knows of no other one."""
    async with learning_pair(tmp_path, auto()) as pair:
        await until_followed(pair)
        audits = (await pair.audits(1)).audits
        await pair.ask("The capital of Italy?", store=True)
        await pair.audits(audits + 1)
        assert pair.large.requests[-1].json["store"] is True
        assert b"Italy" in pair.small.requests[-1].body
        assert "store" not in pair.small.requests[-1].json


async def test_what_is_private_is_asked_of_nobody_else(tmp_path: Path) -> None:
    private = auto(target=TargetSettings(share=0), private=(Rule(regex="IBAN"),))
    async with learning_pair(tmp_path, private) as pair:
        async with asyncio.timeout(30):
            while not pair.large.requests:
                await pair.ask("The capital of France?")
                await asyncio.sleep(0.05)
        for _ in range(5):
            await pair.ask("The capital of my IBAN?")
        await pair.audits(1)
        await pair.worker.client.get("/healthz")
        assert not any("IBAN" in each.body.decode() for each in pair.large.requests)


async def test_without_a_learner_answers_come_and_no_audit_is_made(tmp_path: Path) -> None:
    async with running_upstream() as small, running_upstream() as large:
        small.script, large.script = knowing(), knowing()
        async with running_worker(tmp_path / "home", settings(small, large, auto())) as worker:
            body = {"model": "auto", "messages": [{"role": "user", "content": "The capital of Japan?"}]}
            for _ in range(3):
                assert (await worker.client.post(CHAT, json=body)).json()["choices"][0]["message"]["content"] == "Tokyo"
            refused = await worker.client.post("/v1/feedback", json={"request_id": "a", "score": 1})
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "learner_unavailable")
            assert (len(small.requests), len(large.requests)) == (0, 3)


@pytest.mark.parametrize("keeps", [True, False])
async def test_questions_are_exported_if_they_may_be_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keeps: bool
) -> None:
    async with learning_pair(tmp_path, auto(outcomes=OutcomeSettings(keep_content=keeps))) as pair:
        await until_followed(pair)
        await pair.ask("What is the capital of Spain?")
        await pair.audits(2)
        await asyncio.to_thread(export, pair.worker.home)
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        wrong = {"prompt": "What is the capital of Spain?", "weak": 0.0, "strong": 1.0}
        assert (wrong in rows) == keeps
        assert bool(rows) == keeps
        kept = pair.worker.home.lessons.read_bytes() + (pair.worker.home.root / "outcomes.sqlite3-wal").read_bytes()
        assert (b"capital of Spain" in kept) == keeps


async def test_the_command_line_tells_the_standing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with learning_pair(tmp_path, auto()) as pair:
        await until_followed(pair)
        await pair.audits(1)
        await asyncio.to_thread(status, pair.worker.home, "", False)
        told = capsys.readouterr().out
        assert "auto: the quality is not yet known (" in told
        assert f"groq/{SMALL}" in told
        await asyncio.to_thread(status, pair.worker.home, "auto", True)
        shown = json.loads(capsys.readouterr().out)["auto"]
        assert shown["quality"] is None
        assert shown["pair"]["large"] == f"openai/{LARGE}"
