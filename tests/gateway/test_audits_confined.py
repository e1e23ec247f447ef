"""Audits, and the model that judges them, go only where the request itself may go."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.learner import learning
from tests.fixtures.upstream import Request, Upstream, answer, completion, running_upstream
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.test_auto import CHAT, LARGE, SMALL
from weebill.catalog.schema import Quirks
from weebill.config.auto import AutoSettings, CascadeSettings, TargetSettings
from weebill.config.routing import AliasSettings, Preferences, RoutingSettings
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings

POEM = "A poem about {0}, which goes on and on, so that only a model can tell which of two is better"


def settings(small: Upstream, here: Upstream, cloud: Upstream, **routing: Any) -> Settings:
    """Two places have the large model: one on this machine, and one elsewhere, which is asked first."""

    def provider(upstream: Upstream, model: str, local: bool) -> ProviderSettings:
        return ProviderSettings(base_url=upstream.base_url, api_key="k", models=(model,), local=local, quirks=Quirks())

    return Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers={
            "groq": provider(small, SMALL, True),
            "openai": provider(cloud, LARGE, False),
            "vllm": provider(here, LARGE, True),
        },
        aliases={"big": AliasSettings(models=(f"openai/{LARGE}",), fallbacks=(f"vllm/{LARGE}",))},
        routing=RoutingSettings(**routing),
        auto=AutoSettings(
            small=SMALL,
            large="big",
            cascade=CascadeSettings(checks=()),
            target=TargetSettings(share=0),
        ),
    )


def telling(what: str) -> Any:
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        said = "0" if b"<answer-" in request.body else POEM.format(what)
        writer.write(answer(200, json.dumps(completion(said)).encode()))

    return script


async def until(worker: RunningWorker, body: dict[str, Any], *asked: Upstream) -> None:
    """Ask until one of the upstreams has been asked to judge."""
    async with asyncio.timeout(30):
        while not any(b"<answer-" in each.body for upstream in asked for each in upstream.requests):
            assert (await worker.client.post(CHAT, json=body)).status_code == 200
            await asyncio.sleep(0.05)


OF_KEY = {"keys": {"test": Preferences(ignore=("openai",))}}


@pytest.mark.parametrize(
    ("fields", "routing"),
    [
        ({"provider": {"ignore": ["openai"]}}, {}),
        ({}, OF_KEY),
    ],
    ids=["request", "key"],
)
async def test_whoever_judges_is_where_the_request_may_go(
    tmp_path: Path, fields: dict[str, Any], routing: dict[str, Any]
) -> None:
    async with running_upstream() as small, running_upstream() as here, running_upstream() as cloud:
        small.script, here.script, cloud.script = telling("cats"), telling("dogs"), telling("birds")
        installed = settings(small, here, cloud, **routing)
        async with running_worker(tmp_path / "home", installed) as worker:
            with learning(worker.home, installed):
                body = {"model": "auto", "messages": [{"role": "user", "content": "A poem"}], **fields}
                await until(worker, body, here, cloud)
                assert not cloud.requests


async def test_what_may_go_anywhere_is_judged_by_the_one_that_is_asked_first(tmp_path: Path) -> None:
    async with running_upstream() as small, running_upstream() as here, running_upstream() as cloud:
        small.script, here.script, cloud.script = telling("cats"), telling("dogs"), telling("birds")
        installed = settings(small, here, cloud)
        async with running_worker(tmp_path / "home", installed) as worker:
            with learning(worker.home, installed):
                body = {"model": "auto", "messages": [{"role": "user", "content": "A poem"}]}
                await until(worker, body, here, cloud)
                assert cloud.requests
