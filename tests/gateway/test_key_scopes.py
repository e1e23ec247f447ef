"""Keys that can do less, through a real worker: in every API, and while they change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import openai
import pytest

from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import Upstream, complete, completion, running_upstream
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.accounts.audit import command_line
from weebill.accounts.keys import Keys, Owner
from weebill.accounts.scopes import ScopeChanges
from weebill.accounts.tenants import Organisation, Project, User
from weebill.catalog.schema import Quirks
from weebill.config.auto import AutoSettings, CascadeSettings, TargetSettings
from weebill.config.routing import AliasSettings, Preferences
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings
from weebill.storage.experiments import open_experiments
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger
from weebill.storage.tenants import tenants_in

CHAT: Final = "/v1/chat/completions"
HELLO: Final = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}


def settings(here: Upstream, cloud: Upstream) -> Settings:
    """A server on this machine, and two providers elsewhere that have the same model and others."""

    def provider(upstream: Upstream, *models: str, local: bool = False) -> ProviderSettings:
        return ProviderSettings(base_url=upstream.base_url, api_key="k", models=models, local=local, quirks=Quirks())

    return Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers={
            "cloud": provider(cloud, "shared", "far", "embedder"),
            "other": provider(cloud, "shared"),
            "here": provider(here, "shared", "near", local=True),
        },
        aliases={"mixed": AliasSettings(models=("cloud/far",), fallbacks=("here/near",)), "team-a": "far"},
        auto=AutoSettings(
            small="near", large="far", cascade=CascadeSettings(checks=()), target=TargetSettings(share=0)
        ),
    )


@pytest.fixture
async def here() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        upstream.script = complete(completion("From here."))
        yield upstream


@pytest.fixture
async def cloud() -> AsyncIterator[Upstream]:
    async with running_upstream() as upstream:
        upstream.script = complete(completion("From far."))
        yield upstream


@pytest.fixture
async def worker(tmp_path: Path, here: Upstream, cloud: Upstream) -> AsyncIterator[RunningWorker]:
    async with running_worker(tmp_path / "home", settings(here, cloud)) as running:
        yield running


@pytest.fixture
def keys(worker: RunningWorker) -> Iterator[Keys]:
    with open_keys(worker.home, SQLITE) as opened:
        yield opened


def bearing(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def ask(worker: RunningWorker, secret: str, model: str, **fields: Any) -> Any:
    return await worker.client.post(CHAT, json={"model": model, **HELLO, **fields}, headers=bearing(secret))


async def soon(condition: Callable[[], Any]) -> None:
    """A change takes no more than a second, and some for a slow machine."""
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


def of_openai(body: Any) -> tuple[str, str, str]:
    return body["error"]["type"], body["error"]["code"], body["error"]["param"]


def of_anthropic(body: Any) -> tuple[str]:
    assert "model" in body["error"]["message"]
    return (body["error"]["type"],)


def of_gemini(body: Any) -> tuple[str, str, str]:
    info, violations = body["error"]["details"]
    return body["error"]["status"], info["reason"], violations["fieldViolations"][0]["field"]


def of_ollama(body: Any) -> bool:
    return "may not use the model 'far'" in body["error"]


OPENAI: Final = ("permission_error", "model_not_allowed", "model")
ASKED: Final[list[tuple[str, dict[str, Any], Callable[[Any], Any], Any]]] = [
    (CHAT, {"model": "far", **HELLO}, of_openai, OPENAI),
    ("/v1/completions", {"model": "far", "prompt": "hi"}, of_openai, OPENAI),
    ("/v1/responses", {"model": "far", "input": "hi"}, of_openai, OPENAI),
    ("/v1/embeddings", {"model": "far", "input": "hi"}, of_openai, OPENAI),
    ("/v1/rerank", {"model": "far", "query": "q", "documents": ["d"]}, of_openai, OPENAI),
    ("/v1/messages", {"model": "far", **HELLO}, of_anthropic, ("permission_error",)),
    ("/v1/messages/count_tokens", {"model": "far", **HELLO}, of_anthropic, ("permission_error",)),
    *[
        (f"/v1beta/models/far:{method}", {"contents": [{"parts": [{"text": "hi"}]}]}, of_gemini,
         ("PERMISSION_DENIED", "MODEL_NOT_ALLOWED", "model"))
        for method in ("generateContent", "streamGenerateContent", "countTokens")
    ],
    ("/api/chat", {"model": "far", **HELLO}, of_ollama, True),
    ("/api/generate", {"model": "far", "prompt": ""}, of_ollama, True),
    ("/api/embed", {"model": "far", "input": "hi"}, of_ollama, True),
    ("/api/show", {"model": "far"}, of_ollama, True),
]  # fmt: skip


async def test_a_model_is_refused_in_the_format_of_each_api(
    worker: RunningWorker, keys: Keys, here: Upstream, cloud: Upstream
) -> None:
    secret = keys.create("mine", scopes=ScopeChanges(models=("near", "team-*"))).secret
    for path, body, read, expected in ASKED:
        answer = await worker.client.post(path, json=body, headers=bearing(secret))
        assert (answer.status_code, read(answer.json())) == (403, expected), path
        assert answer.headers["x-should-retry"] == "false"
    assert not here.requests
    assert not cloud.requests
    refused = worker.records()
    assert {(each.status, each.outcome, each.model_asked) for each in refused} == {(403, "rejected", "far")}

    for name in ("near", "near:latest", "near:floor", "team-a", "team-a:nitro"):
        assert (await ask(worker, secret, name)).status_code == 200, name
    for name in ("here/near", "near:none", "team-", "cloud/team-a"):
        assert (await ask(worker, secret, name)).status_code in (403, 404), name
    fallback = await ask(worker, secret, "near", models=["team-a", "far"])
    assert (fallback.status_code, of_openai(fallback.json())[2]) == (403, "models")
    unknown = await ask(worker, secret, "team-b")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


async def test_lists_have_what_the_key_may_use(worker: RunningWorker, keys: Keys) -> None:
    mine = keys.create("mine", scopes=ScopeChanges(models=("shared", "team-*", "auto"))).secret
    local = keys.create("local", scopes=ScopeChanges(local_only=True)).secret

    async def listed(secret: str) -> list[set[str]]:
        async def get(path: str, **headers: str) -> Any:
            return (await worker.client.get(path, headers={**bearing(secret), **headers})).json()

        return [
            {each["id"] for each in (await get("/v1/models"))["data"]},
            {each["id"] for each in (await get("/v1/models", **{"anthropic-version": "2023-06-01"}))["data"]},
            {each["name"].removeprefix("models/") for each in (await get("/v1beta/models"))["models"]},
            {each["model"] for each in (await get("/api/tags"))["models"]},
        ]

    assert await listed(mine) == [{"shared", "team-a", "auto"}] * 4
    all_local = {"shared", "near", "mixed", "auto", "mini"}
    assert all(each <= all_local and each >= {"shared", "near", "mixed", "auto"} for each in await listed(local))
    assert all(each > {"shared", "near", "mixed", "far"} for each in await listed(worker.key))
    for secret, name, status in ((mine, "shared", 200), (mine, "near", 403), (local, "near", 200), (local, "far", 403)):
        answer = await worker.client.get(f"/v1/models/{name}", headers=bearing(secret))
        assert answer.status_code == status, name


async def test_endpoints(worker: RunningWorker, keys: Keys) -> None:
    secret = keys.create("embeds", scopes=ScopeChanges(endpoints=("embeddings", "messages.count_tokens"))).secret
    for path, body, _, _ in ASKED:
        answer = await worker.client.post(path, json=body, headers=bearing(secret))
        # What it may do comes to an upstream, or to an estimate.
        is_allowed = path in ("/v1/embeddings", "/v1/messages/count_tokens", "/api/embed", "/api/show")
        assert (answer.status_code != 403) == is_allowed, path
    kept = await worker.client.get("/v1/responses/resp_1", headers=bearing(secret))
    assert (kept.status_code, kept.json()["error"]["code"]) == (403, "endpoint_not_allowed")
    refused = await ask(worker, secret, "near")
    assert "'chat.completions'" in refused.json()["error"]["message"]


async def test_networks(worker: RunningWorker, keys: Keys) -> None:
    far = keys.create("far", scopes=ScopeChanges(networks=("10.0.0.0/8", "::/0"))).secret
    near = keys.create("near", scopes=ScopeChanges(networks=("127.0.0.0/8",))).secret
    for path, body, _, _ in ASKED:
        answer = await worker.client.post(path, json=body, headers=bearing(far))
        assert answer.status_code == 403, path
        assert "127.0.0.1" in answer.text
    # A client's own word for its address counts for nothing.
    claims = {**bearing(far), "x-forwarded-for": "10.1.2.3", "forwarded": "for=10.1.2.3"}
    assert (await worker.client.get("/v1/models", headers=claims)).status_code == 403
    assert (await ask(worker, near, "near")).status_code == 200
    assert not any(each.key_id == "" for each in worker.records())


async def test_an_expired_key_is_refused_like_a_revoked_one(worker: RunningWorker, keys: Keys) -> None:
    created = keys.create("brief")
    assert (await ask(worker, created.secret, "near")).status_code == 200
    keys.set_scopes("brief", ScopeChanges(expires_at=int(time.time()) + 2))

    async def refused() -> bool:
        return bool((await ask(worker, created.secret, "near")).status_code == 401)

    await soon(refused)  # on a connection that has served it before
    for path, body, _, _ in ASKED:
        answer = await worker.client.post(path, json=body, headers=bearing(created.secret))
        assert (answer.status_code, "expired at 20" in answer.text) == (401, True), path
    assert (await ask(worker, created.secret, "near")).json()["error"]["code"] == "invalid_api_key"

    async def works() -> bool:
        return bool((await ask(worker, created.secret, "near")).status_code == 200)

    keys.set_scopes("brief", ScopeChanges(expires_at=None))
    await soon(works)


async def test_nothing_of_a_local_key_leaves_the_machine(
    worker: RunningWorker, keys: Keys, here: Upstream, cloud: Upstream
) -> None:
    secret = keys.create("private", scopes=ScopeChanges(local_only=True)).secret
    with open_experiments(worker.home, SQLITE) as experiments:
        experiments.create("moved", "near", "far", 1.0, False)
        experiments.create("shadowed", "shared", "far", 1.0, True)

    async def begun() -> bool:
        return bool((await ask(worker, worker.key, "near")).json()["choices"][0]["message"]["content"] == "From far.")

    await soon(begun)
    cloud.requests.clear()
    for name in ("near", "shared", "shared:nitro", "mixed", "auto", "auto:floor"):
        answer = await ask(worker, secret, name, models=["far"], provider={"order": ["cloud"], "local_only": False})
        assert answer.status_code == 200, (name, answer.text)
        assert answer.json()["choices"][0]["message"]["content"] == "From here.", name
    for name in ("far", "team-a", "cloud/shared"):
        answer = await ask(worker, secret, name)
        assert (answer.status_code, of_openai(answer.json())) == (403, OPENAI), name
        assert "this machine" in answer.text
    embedded = await worker.client.post(
        "/v1/embeddings", json={"model": "embedder", "input": "hi"}, headers=bearing(secret)
    )
    assert embedded.status_code == 403
    excluded = await ask(worker, secret, "shared", provider={"only": ["cloud"]})
    assert (excluded.status_code, excluded.json()["error"]["code"]) == (404, "no_deployment")
    await asyncio.sleep(0.2)  # for what would be sent in the background
    assert not cloud.requests


async def test_preferences_of_a_key_count_where_a_request_says_nothing(
    worker: RunningWorker, keys: Keys, here: Upstream, cloud: Upstream
) -> None:
    secret = keys.create("prefers", scopes=ScopeChanges(preferences=Preferences(order=("other", "here")))).secret
    for fields, provider in (
        ({}, "other"),
        ({"provider": {"order": ["here"]}}, "here"),
        ({"provider": {"ignore": ["other"]}}, "here"),
    ):
        answer = await ask(worker, secret, "shared", **fields)
        assert answer.headers["x-weebill-route"].startswith(f"{provider}:200:"), fields


async def test_a_key_is_rotated_while_a_client_goes_on(worker: RunningWorker, keys: Keys) -> None:
    first = keys.create("rotated", scopes=ScopeChanges(models=("near",)))

    def client(secret: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{worker.url}/v1", api_key=secret, max_retries=0)

    async def says(asking: openai.AsyncOpenAI, model: str = "near") -> str | None:
        done = await asking.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
        return done.choices[0].message.content

    async with client(first.secret) as old:
        assert await says(old) == "From here."
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await says(old, "far")
        assert (caught.value.status_code, caught.value.code, caught.value.param) == (403, *OPENAI[1:])

        second = keys.rotate("rotated", 3600)
        async with client(second.secret) as new:
            assert [await says(each) for each in (old, new, old)] == ["From here."] * 3
            third = keys.rotate("rotated", 3600)  # which ends the oldest at once

            async def ended() -> bool:
                try:
                    await says(old)
                except openai.AuthenticationError:
                    return True
                return False

            await soon(ended)
            assert await says(new) == "From here."
            async with client(third.secret) as newest:
                assert await says(newest) == "From here."
                keys.rotate("rotated", 0)

                async def all_ended() -> bool:
                    outcomes = await asyncio.gather(says(new), says(newest), return_exceptions=True)
                    return all(isinstance(each, openai.AuthenticationError) for each in outcomes)

                await soon(all_ended)
    assert {each.key_id for each in worker.records()} == {first.key.id}


async def test_keys_are_refused_while_their_project_or_holder_is_shut_out(
    worker: RunningWorker, keys: Keys, here: Upstream
) -> None:
    with open_ledger(worker.home, SQLITE) as ledger:
        tenants = tenants_in(ledger, command_line())
        user = tenants.create_user("ada@example.com").id
        organisation = tenants.create_organisation("Acme", user).id
        tenants.add_member(organisation, tenants.create_user("bob@example.com").id, "owner")
        project = tenants.create_project(organisation, "web").id
        secret = keys.create("held", owner=Owner(project, user)).secret
        plain = keys.create("plain").secret

        async def answers(status: int) -> bool:
            return (await ask(worker, secret, "near")).status_code == status

        assert await answers(200)
        for shut, let in (
            (lambda: tenants.shut_out(Organisation, organisation), lambda: tenants.let_in(Organisation, organisation)),
            (lambda: tenants.shut_out(Project, project), lambda: tenants.let_in(Project, project)),
            (lambda: tenants.shut_out(User, user), lambda: tenants.let_in(User, user)),
        ):
            shut()
            await soon(lambda: answers(401))
            assert (await ask(worker, plain, "near")).status_code == 200
            let()
            await soon(lambda: answers(200))
