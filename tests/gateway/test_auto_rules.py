"""What decides in place of the share that `auto` aims at: rules, suffixes, what is private, a router of one's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.factory.rows import outcomes, write
from tests.fixtures.upstream import (
    answer,
    complete,
    completion,
    running_upstream,
    send,
)
from tests.fixtures.worker import running_worker
from tests.gateway.test_auto import ALWAYS_LARGE, ALWAYS_SMALL, SMALL, _until, auto, running_pair, said, settings
from weebill.auto.estimator.artefact import Card, read_embedding, write_model
from weebill.auto.estimator.estimator import Estimator as Learned
from weebill.catalog.schema import Quirks
from weebill.config.auto import AutoSettings, Rule, TargetSettings
from weebill.factory.fitting import fit
from weebill.factory.rows import read
from weebill.process.messages import Reload


async def test_high_stakes_go_to_the_large_model(tmp_path: Path) -> None:
    rules = (Rule(regex="(?i)lawsuit"), Rule(key="test", endpoint="completions"))
    async with running_pair(tmp_path, auto("refusal", high_stakes=rules)) as pair:
        response = await pair.ask(messages=[{"role": "user", "content": "About the LAWSUIT"}])
        assert response.headers["x-weebill-route"].endswith(";auto:large(high_stakes[1])")
        assert pair.asked == (0, 1)
        assert ";auto:small(" in (await pair.ask()).headers["x-weebill-route"]


SEVERAL = ["Hello", "My IBAN is DE89"]
"""Prompts, which no API but Completions has a word for."""
TOKENS = [[15496], [3666, 314]]
IBAN = (Rule(regex="IBAN"),)


@pytest.mark.parametrize(
    ("prompt", "target", "private", "has", "asked"),
    [
        (SEVERAL, ALWAYS_SMALL, (), (True, True), (1, 0)),
        (TOKENS, ALWAYS_LARGE, (), (True, True), (0, 1)),
        (SEVERAL, ALWAYS_SMALL, (), (False, True), (0, 1)),
        (SEVERAL, ALWAYS_LARGE, IBAN, (True, True), (1, 0)),
        (SEVERAL[:1] * 2, ALWAYS_LARGE, IBAN, (True, True), (0, 1)),
        # Which no rule can look into.
        (TOKENS, ALWAYS_LARGE, IBAN, (True, True), (1, 0)),
        (SEVERAL, ALWAYS_SMALL, IBAN, (False, True), (0, 0)),
        (SEVERAL, ALWAYS_SMALL, (), (False, False), (0, 0)),
    ],
)
async def test_what_cannot_be_translated_goes_to_who_speaks_the_clients_api(
    tmp_path: Path,
    prompt: list[object],
    target: TargetSettings,
    private: tuple[Rule, ...],
    has: tuple[bool, bool],
    asked: tuple[int, int],
) -> None:
    async with running_upstream() as small, running_upstream() as large:
        small.script = large.script = complete()
        given = settings(small, large, auto("refusal", target=target, private=private))
        for name, completions in zip(("groq", "openai"), has, strict=True):
            known = msgspec.structs.replace(given.providers[name], quirks=Quirks(completions=completions))
            given.providers[name] = known
        async with running_worker(tmp_path / "home", given) as worker:
            response = await worker.client.post("/v1/completions", json={"model": "auto", "prompt": prompt})
            assert (len(small.requests), len(large.requests)) == asked
            if any(asked):
                assert response.status_code == 200, response.text
                [sent] = small.requests + large.requests
                assert sent.json["prompt"] == prompt
            elif has[1]:
                assert (response.status_code, response.json()["error"]["code"]) == (404, "no_deployment")
            else:
                assert (response.status_code, response.json()["error"]["param"]) == (400, "prompt")


@pytest.mark.parametrize("suffix", ["floor", "nitro", "fast"])
async def test_a_suffix_leaves_the_choice_of_the_tier_to_the_rules(tmp_path: Path, suffix: str) -> None:
    rules = {"private": (Rule(regex="IBAN"),), "high_stakes": (Rule(regex="lawsuit"),)}
    async with running_pair(tmp_path, auto("refusal", **rules)) as pair:
        response = await pair.ask(model=f"auto:{suffix}", messages=[{"role": "user", "content": "The lawsuit"}])
        assert response.headers["x-weebill-route"].endswith(";auto:large(high_stakes[1])")
        assert pair.asked == (0, 1)
        pair.small.script = send(answer(500, b"{}"))
        await pair.ask(model=f"auto:{suffix}", messages=[{"role": "user", "content": "My IBAN"}])
        assert pair.asked[0] > 0
        assert pair.asked[1] == 1


async def test_an_answer_to_a_suffixed_name_is_checked(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("refusal")) as pair:
        pair.small.script = complete(completion("I can't help with that."))
        assert said(await pair.ask(model="auto:floor")) == "From the large one."


async def test_where_auto_does_not_choose_nothing_leaves_that_may_be_private(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto(private=(Rule(regex="IBAN"),))) as pair:
        pair.small.script = send(answer(500, b"{}"))
        text = "My IBAN"
        await pair.ask(model=SMALL, models=["auto"], messages=[{"role": "user", "content": text}])
        await pair.worker.client.post("/v1/embeddings", json={"model": "auto", "input": text})
        assert pair.asked[1] == 0


async def test_what_is_private_stays_whatever_fails(tmp_path: Path) -> None:
    rules = {"private": (Rule(regex="IBAN"),), "high_stakes": (Rule(regex="lawsuit"),)}
    async with running_pair(tmp_path, auto("refusal", target=ALWAYS_LARGE, **rules)) as pair:
        private = {"messages": [{"role": "user", "content": "My IBAN, for the lawsuit"}]}
        response = await pair.ask(**private)
        assert said(response) == "From the small one."
        assert response.headers["x-weebill-route"].endswith(";auto:small(private[1] and high_stakes[1])")
        for script in (
            complete(completion("I can't help with that.")),
            send(answer(500, b"{}")),
            send(b"", close=True),
        ):
            pair.small.script = script
            await pair.ask(**private)
        assert pair.asked[1] == 0
        pair.small.script = complete()
        asked = await pair.ask(provider={"local_only": True})
        assert ";auto:small(local_only)" in asked.headers["x-weebill-route"]
        assert pair.asked[1] == 0
        # Even where the small model is somebody else's.
        small_elsewhere = msgspec.structs.replace(
            settings(pair.small, pair.large, auto(private=rules["private"])),
            providers={
                name: msgspec.structs.replace(provider, local=False)
                for name, provider in settings(pair.small, pair.large, auto()).providers.items()
            },
        )
        pair.worker.link.send(Reload(settings=small_elsewhere))
        await _until(lambda: pair.ask(**private), 404)  # some may be answered before it holds
        before = pair.asked
        assert (await pair.ask(**private)).status_code == 404
        assert pair.asked == before


async def test_a_router_of_ones_own_decides(tmp_path: Path) -> None:
    sums, capitals = "Compute 123 * 456 + 78.", "Is Oslo or Lima the capital of Peru?"
    assert Learned.load().estimate(sums).gain > Learned.load().estimate(capitals).gain + 0.2
    turned = [row | {"weak": not row["weak"]} for row in outcomes(400)]
    rows = read(write(tmp_path / "turned.jsonl", turned))
    card = Card(name="own", made="", licence="", data=[], recipe="", tiers=list(rows.tiers), rows=len(rows))
    write_model(fit(rows, read_embedding(), card), tmp_path / "home" / "router.npz")
    async with running_pair(tmp_path, auto(target=TargetSettings(share=0.5))) as pair:
        for text, model in ((sums, "small"), (capitals, "large")):
            answered = await pair.ask(messages=[{"role": "user", "content": text}])
            assert said(answered) == f"From the {model} one."


async def test_a_router_of_ones_own_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "router.npz").write_bytes(b"nothing")
    async with running_pair(tmp_path, auto()) as pair:
        answered = await pair.ask()
        assert answered.status_code == 503
        assert "the learned router cannot be loaded" in answered.text
        assert "router.npz" not in answered.text  # the log says which file


async def test_a_reload_changes_the_target(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto()) as pair:
        await pair.ask()
        pair.worker.link.send(Reload(settings=settings(pair.small, pair.large, auto(target=ALWAYS_LARGE))))
        async with asyncio.timeout(60):
            while said(await pair.ask()) != "From the large one.":
                await asyncio.sleep(0.05)
        pair.worker.link.send(Reload(settings=settings(pair.small, pair.large, AutoSettings())))
        await _until(pair.ask, 404)


async def test_what_cannot_be_served_says_why(tmp_path: Path) -> None:
    async with running_pair(tmp_path, auto("function", cascade={"function": "nowhere:check"})) as pair:
        response = await pair.ask()
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "auto_unavailable"
        assert "nowhere:check" in response.json()["error"]["message"]
        assert said(await pair.ask(model=SMALL)) == "From the small one."
