"""Providers' keys that are given through the API, through a real worker: whose request is sent with which key.

Peers' users have reported the opposite of several of these: LiteLLM 17115 and 41289 (a request was sent with the key of
an earlier caller), 36794 (a key in a body took the place of the configured one), 8966 (one key's cool-down held others
up), 39576 (another provider's credential stood in), 6963, 8075, 15799 and 24902 (keys in addresses, and so in logs).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Final

import openai
import pytest
from msgspec import structs

from tests.fixtures.ledger import SQLITE
from tests.fixtures.projects import add_project, give, provider_keys, remove
from tests.fixtures.supervised import wait_for
from tests.fixtures.upstream import Request, Script, Upstream, answer, complete, completion, running_upstream, send
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.catalog.load import load
from weebill.catalog.pricing import FREE
from weebill.catalog.schema import Quirks
from weebill.config.kept import reachable_with, with_keys
from weebill.config.routing import AliasSettings
from weebill.config.schema import CacheSettings, LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.ledger.topics import SealedKeyFeed
from weebill.limits.setting import Limits
from weebill.providers.base import UpstreamRequest
from weebill.routing.deployments import provider_upstream
from weebill.routing.directory import Directory
from weebill.routing.own_keys import OwnProvider, Routers
from weebill.routing.router import Router
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger

SHARED: Final = "key-of-the-installation"
OTHER: Final = "key-of-the-installation-elsewhere"
OWN: Final = "key-of-project-one-0001"
TWOS: Final = "key-of-project-two-0002"
REFUSED: Final = send(answer(401, json.dumps({"error": {"message": f"Incorrect API key: {OWN}"}}).encode()))
SECONDS: Final = 60.0


def settings(cloud: Upstream, other: Upstream) -> Settings:
    def provider(upstream: Upstream, key: str, *models: str) -> ProviderSettings:
        return ProviderSettings(base_url=upstream.base_url, api_key=key, models=models, quirks=Quirks(), catalog="none")

    return Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers={"cloud": provider(cloud, SHARED, "shared", "far"), "other": provider(other, OTHER, "shared")},
        aliases={"either": AliasSettings(models=("cloud/far",), fallbacks=("other/shared",))},
    )


class Sites:
    """A worker before two providers, and two projects beside the default one."""

    def __init__(self, worker: RunningWorker, cloud: Upstream, other: Upstream) -> None:
        self.worker = worker
        self.cloud = cloud
        self.other = other
        self.secrets = {name: add_project(worker.home, name) for name in ("one", "two")}

    def client(self, project: str | None = None) -> openai.AsyncOpenAI:
        secret = self.worker.key if project is None else self.secrets[project]
        return openai.AsyncOpenAI(base_url=f"{self.worker.url}/v1", api_key=secret, max_retries=0)

    async def ask(self, project: str | None = None, model: str = "far", **fields: object) -> str:
        async with self.client(project) as client:
            body = {"provider": fields} if fields else None
            answered = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "hi"}], extra_body=body
            )
        return answered.choices[0].message.content or ""

    async def lists(self, project: str | None, model: str) -> bool:
        async with self.client(project) as client:
            return model in [each.id async for each in client.models.list()]

    async def until(self, project: str | None, key: str) -> None:
        """Ask until requests of a project are sent with a key."""
        async with asyncio.timeout(SECONDS):
            while True:
                await self.ask(project)
                if keys(self.cloud)[-1] == key:
                    break
                await asyncio.sleep(0.05)
        self.cloud.requests.clear()
        self.other.requests.clear()


def keys(upstream: Upstream) -> list[str]:
    """The keys that an upstream was sent."""
    return [each.headers["authorization"].removeprefix("Bearer ") for each in upstream.requests]


def refusing(*refused: str) -> Script:
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        bad = request.headers["authorization"].removeprefix("Bearer ") in refused
        await (REFUSED if bad else complete(completion("Hello.")))(request, writer)

    return script


@pytest.fixture
async def sites(tmp_path: Path) -> AsyncIterator[Sites]:
    async with (
        running_upstream() as cloud,
        running_upstream() as other,
        running_worker(tmp_path / "home", settings(cloud, other)) as worker,
    ):
        yield Sites(worker, cloud, other)


async def test_a_project_is_served_with_its_own_key_and_nobody_else_is(sites: Sites) -> None:
    give(sites.worker.home, "cloud", OWN, "one")
    give(sites.worker.home, "cloud", TWOS, "two")
    await sites.until("one", OWN)
    await sites.until("two", TWOS)
    for project, key in (("one", OWN), (None, SHARED), ("two", TWOS), ("one", OWN)):
        await sites.ask(project)
        assert keys(sites.cloud)[-1] == key
    assert sites.cloud.connections == 1  # the connection is nobody's, the key goes with each request
    record = sites.worker.records()[-1]
    assert (record.flags, record.cost_nano, record.upstream) == ("own_key", 0, "cloud")


async def test_requests_wait_until_it_is_known_which_keys_they_may_be_sent_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has just started would refuse them otherwise."""
    news, held_back = SealedKeyFeed.news, list[None]()

    def late(feed: SealedKeyFeed) -> bytes | None:
        if held_back:
            return news(feed)
        return held_back.append(None)

    monkeypatch.setattr(SealedKeyFeed, "news", late)
    async with running_upstream() as cloud, running_worker(tmp_path, settings(cloud, cloud)) as worker:
        assert await Sites(worker, cloud, cloud).ask() == "Hello there."
    assert held_back


async def test_a_key_that_is_removed_is_not_used_any_more(sites: Sites) -> None:
    kept = give(sites.worker.home, "cloud", OWN, "one")
    await sites.until("one", OWN)
    remove(sites.worker.home, kept.id)
    await sites.until("one", SHARED)


async def test_a_refused_key_is_an_error_of_its_project_alone(sites: Sites) -> None:
    sites.cloud.script = refusing(OWN)
    give(sites.worker.home, "cloud", OWN, "one")
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await sites.until("one", "never")
    assert refused.value.code == "provider_key_refused"
    assert OWN not in str(refused.value)
    sites.cloud.requests.clear()
    sites.other.requests.clear()
    for _ in range(20):  # more than opens a breaker
        with pytest.raises(openai.PermissionDeniedError):
            await sites.ask("one", "shared")
    assert SHARED not in keys(sites.cloud)
    assert sites.other.requests == []
    assert await sites.ask(None, "far") == "Hello."
    assert await sites.ask("two", "far") == "Hello."
    await wait_for(lambda: provider_keys(sites.worker.home)[0].refused_at, SECONDS)
    assert provider_keys(sites.worker.home)[0].status == "refused"
    assert provider_keys(sites.worker.home)[0].last_used_at


async def test_a_fallback_is_taken_where_it_is_set(sites: Sites) -> None:
    sites.cloud.script = refusing(OWN)
    give(sites.worker.home, "cloud", OWN, "one", fallback=True)
    async with asyncio.timeout(SECONDS):
        while OWN not in keys(sites.cloud):
            assert await sites.ask("one", "far") == "Hello."
    assert keys(sites.cloud)[-1] == SHARED
    record = sites.worker.records()[-1]
    assert record.flags == ""


async def test_what_a_project_has_no_key_for_is_called_with_the_installations(sites: Sites) -> None:
    give(sites.worker.home, "other", OWN, "one")
    async with asyncio.timeout(SECONDS):
        while OWN not in keys(sites.other):
            await sites.ask("one", "shared")
    sites.cloud.requests.clear()
    assert await sites.ask("one", "far") == "Hello there."
    assert keys(sites.cloud) == [SHARED]
    for _ in range(5):
        await sites.ask("one", "shared")
    assert len(sites.cloud.requests) == 1  # its own serves the model that both have


async def test_an_alternative_that_is_named_is_taken(sites: Sites) -> None:
    give(sites.worker.home, "cloud", OWN, "one")
    await sites.until("one", OWN)
    sites.cloud.script = send(answer(500, b"{}"))
    assert await sites.ask("one", "either") == "Hello there."
    assert keys(sites.other) == [OTHER]
    assert set(keys(sites.cloud)) == {OWN}


async def test_hedged_requests_keep_to_the_projects_key(sites: Sites) -> None:
    give(sites.worker.home, "cloud", OWN, "one")
    give(sites.worker.home, "other", TWOS, "one")
    await sites.until("one", OWN)
    for _ in range(5):
        await sites.ask("one", "shared", hedge=True)
    assert set(keys(sites.cloud)) | set(keys(sites.other)) <= {OWN, TWOS}


async def test_a_rate_limited_key_holds_nobody_else_up(sites: Sites) -> None:
    give(sites.worker.home, "cloud", OWN, "one")
    await sites.until("one", OWN)
    sites.cloud.script = send(answer(429, b'{"error":{"message":"slow down"}}', "retry-after: 30"))
    with pytest.raises(openai.RateLimitError):
        await sites.ask("one")
    sites.cloud.script = complete()
    sites.cloud.requests.clear()
    assert await sites.ask(None) == "Hello there."
    assert await sites.ask("two") == "Hello there."
    assert keys(sites.cloud) == [SHARED, SHARED]


async def test_cached_answers_stay_with_the_project_that_paid(tmp_path: Path) -> None:
    async with running_upstream() as cloud, running_upstream() as other:
        cached = structs.replace(settings(cloud, other), cache=CacheSettings(enabled=True))
        async with running_worker(tmp_path / "home", cached) as worker:
            sites = Sites(worker, cloud, other)
            kept = give(worker.home, "cloud", OWN, "one")
            async with asyncio.timeout(SECONDS):
                number = 0
                while OWN not in keys(cloud):
                    number += 1
                    await sites.ask("one", "far", order=[f"n{number}"])
            cloud.requests.clear()
            await sites.ask("one")
            await sites.ask("one")
            assert keys(cloud) == [OWN]
            await sites.ask("two")
            await sites.ask("two")
            await sites.ask(None)
            assert keys(cloud) == [OWN, SHARED, SHARED]  # each key has its own answers anyway
            remove(worker.home, kept.id)
            async with asyncio.timeout(SECONDS):
                while len(cloud.requests) == 3:
                    await sites.ask("one")
            assert keys(cloud)[3:] == [SHARED]


async def test_a_key_of_the_installation_activates_a_provider(sites: Sites) -> None:
    assert not await sites.lists(None, "openai/gpt-4o-mini")
    kept = give(sites.worker.home, "openai", "sk-given-through-the-api")
    async with asyncio.timeout(SECONDS):
        while not await sites.lists(None, "openai/gpt-4o-mini"):
            await asyncio.sleep(0.05)
        remove(sites.worker.home, kept.id)
        while await sites.lists(None, "openai/gpt-4o-mini"):
            await asyncio.sleep(0.05)


async def test_a_projects_key_activates_a_provider_for_it_alone(sites: Sites) -> None:
    give(sites.worker.home, "openai", "sk-of-project-one-alone", "one")
    async with asyncio.timeout(SECONDS):
        while not await sites.lists("one", "openai/gpt-4o-mini"):
            await asyncio.sleep(0.05)
    for project in ("two", None):
        assert not await sites.lists(project, "openai/gpt-4o-mini")
        with pytest.raises(openai.NotFoundError) as unknown:
            await sites.ask(project, "openai/gpt-4o-mini")
        assert unknown.value.code == "model_not_found"


async def test_the_configurations_key_comes_first(sites: Sites) -> None:
    give(sites.worker.home, "cloud", "key-given-through-the-api")
    await asyncio.sleep(1.0)
    await sites.ask()
    assert keys(sites.cloud) == [SHARED]


async def test_a_limit_of_spend_does_not_concern_own_keys(sites: Sites) -> None:
    with open_ledger(sites.worker.home, SQLITE) as ledger:
        Limits(StoredLimits(ledger)).set("one", "spend", "none", 0)
    with pytest.raises(openai.APIStatusError) as refused:
        await sites.ask("one")
    assert refused.value.status_code == 402  # the provider's price is not known, so it might be more than nothing
    give(sites.worker.home, "cloud", OWN, "one")
    async with asyncio.timeout(SECONDS):
        while True:
            with contextlib.suppress(openai.APIStatusError):
                assert await sites.ask("one") == "Hello there."
                break
            await asyncio.sleep(0.05)
    assert keys(sites.cloud) == [OWN]


async def test_a_key_in_a_body_is_nobodys(sites: Sites) -> None:
    """LiteLLM 36794."""
    async with sites.client() as client:
        for _ in range(2):
            await client.chat.completions.create(
                model="far", messages=[{"role": "user", "content": "hi"}], extra_body={"api_key": TWOS}
            )
    await sites.ask("two")
    assert keys(sites.cloud) == [SHARED] * 3


@pytest.mark.parametrize("provider", ["gemini", "anthropic", "openai", "mistral", "cohere", "openrouter"])
def test_keys_are_in_headers_alone(provider: str) -> None:
    """LiteLLM 6963, 8075, 15799 and 24902: what is in an address ends up in logs."""
    found = reachable_with(Settings(), provider, OWN, {}).providers[provider]
    upstream = provider_upstream(provider, found, None)
    head = upstream.head(UpstreamRequest(b"/models", b"", b""))
    assert head.count(OWN.encode()) == 1
    assert OWN.encode() not in head.split(b"\r\n")[0]
    assert OWN not in repr(upstream)


def test_no_deployment_of_another_projects_provider_is_left() -> None:
    """With a key of one project alone, nobody else is routed to its provider, by whatever name."""
    none = Settings(local=LocalSettings(models=()))
    wide = Directory(with_keys(none, {"openai": ("stands-for-a-key",)}, {}), (), 0)
    routers = Routers(Router(none.routing, Directory(none, (), 0), Random(1)), none.routing)
    own = reachable_with(none, "openai", OWN, {}).providers["openai"]
    routers.follow({"proj_one": {"openai": OwnProvider(own, False)}, "proj_two": {}}, wide, load())
    mine = routers.of("proj_one").directory
    sent = {one.lines for each in mine.deployments.values() if each.upstream for one in each.upstream.credentials}
    assert len(sent) == 1
    assert OWN.encode() in sent.pop()
    assert all(each.own and each.price.price == FREE.price for each in mine.deployments.values())
    for project in ("proj_two", "proj_other"):
        assert not routers.of(project).directory.deployments
        assert not routers.of(project).directory.serves("openai/gpt-4o-mini")
