"""The verifier through a real worker and the learner: answers that the small model is sure of stay, others do not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

from tests.fixtures.upstream import DONE, USAGE_CHUNK, Request, Script, answer, chunk, completion
from tests.gateway.test_auto import LARGE, SMALL
from tests.gateway.test_learning import ASK, TOWNS, Learning, learning_pair, town_in, until_followed
from weebill.config.auto import AutoSettings, CascadeSettings, TargetSettings

# The check of probabilities is passed by all: it is there so that any upstream is asked for them.
SEEN = CascadeSettings(checks=("refusal", "logprobs", "verifier"), mean_probability=0, min_probability=0)
SURE, UNSURE = -0.05, -2.5


def guessing(rng: Random, answers: dict[str, str]) -> Script:
    """Names every second capital, by chance, and is sure of it; else says "Atlantis", and is not."""

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        assert request.json["logprobs"] is True
        asked: str = request.json["messages"][-1]["content"]
        right = answers.setdefault(asked, rng.choice(("right", "wrong"))) == "right"
        said = town_in(asked) if right else "Atlantis"
        logprob = SURE if right else UNSURE
        probabilities = {"content": [{"token": said, "logprob": logprob, "bytes": None, "top_logprobs": []}]}
        if request.json.get("stream"):
            first: Any = json.loads(chunk(said, begins=True).removeprefix(b"data: "))
            first["choices"][0]["logprobs"] = probabilities
            events = [b"data: " + json.dumps(first).encode() + b"\n\n", chunk(finish="stop"), USAGE_CHUNK, DONE]
            head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            writer.write(head + b"".join(events))
            await writer.drain()
            writer.close()
            return
        body: Any = completion(said)
        body["choices"][0]["logprobs"] = probabilities
        writer.write(answer(200, json.dumps(body).encode()))

    return script


def questions(count: int) -> list[str]:
    countries = list(TOWNS)
    return [f"{ASK[at % len(ASK)].format(countries[at % len(countries)])} ({at})" for at in range(count)]


async def test_what_the_small_model_is_sure_of_stays(tmp_path: Path) -> None:
    chosen = AutoSettings(small=SMALL, large=LARGE, cascade=SEEN, target=TargetSettings(quality=0.9))
    async with learning_pair(tmp_path, chosen) as pair:
        truth: dict[str, str] = {}
        pair.small.script = guessing(Random(5), truth)
        await until_followed(pair)
        asked = questions(200)
        for text in asked[:140]:
            await pair.ask(text)
        await pair.audits(100)
        async with asyncio.timeout(30):
            while "auto:small(" not in await pair.route_of("The capital of Italy, please"):
                truth["The capital of Italy, please"] = "right"
                await asyncio.sleep(0.1)
        for at, text in enumerate(asked[140:]):
            await check_one(pair, text, stream=bool(at % 2), truth=truth)
        assert {truth[text] for text in asked[140:]} == {"right", "wrong"}


async def check_one(pair: Learning, text: str, *, stream: bool, truth: dict[str, str]) -> None:
    """Whatever the small model says, the client gets the right answer, and no probabilities that it did not ask for."""
    response = await pair.ask(text, stream=stream)
    route = response.headers["x-weebill-route"]
    if truth[text] == "right":
        assert "auto:small(" in route
    else:
        assert "auto:small->large(check=verifier)" in route
    assert town_in(text) in response.text
    assert "Atlantis" not in response.text
    assert '"logprob":' not in response.text
