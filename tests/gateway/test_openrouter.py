"""What a client prefers among providers that only OpenRouter knows; and that Weebill's own fields refuse nothing."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.upstream import Upstream, complete, running_upstream
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.routing import AliasSettings, Preferences, RoutingSettings
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings

CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {**HELLO, "model": "routed"},
    "/v1/messages": {**HELLO, "model": "routed", "max_tokens": 64},
    "/v1/responses": {"input": "hi", "model": "routed"},
    "/v1beta/models/routed:generateContent": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
"""A request of each API for what only OpenRouter serves."""


@pytest.fixture
async def other() -> AsyncIterator[Upstream]:
    async with running_upstream() as running:
        yield running


@pytest.fixture(params=["openrouter", "second"])
async def worker(
    tmp_path: Path, upstream: Upstream, other: Upstream, request: pytest.FixtureRequest
) -> AsyncIterator[RunningWorker]:
    """`upstream` is OpenRouter under its own name or another, `other` somebody else."""
    upstream.script = other.script = complete()
    settings = Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers={
            request.param: ProviderSettings(
                catalog="openrouter", base_url=upstream.base_url, api_key="k", models=("both", "routed"), tier=1
            ),
            "acme": ProviderSettings(base_url=other.base_url, api_key="k", models=("both", "own")),
            "openai": ProviderSettings(dialect="openai", base_url=other.base_url, api_key="k", models=("gpt-4o-mini",)),
        },
    )
    async with running_worker(tmp_path / "home", settings) as running:
        yield running


@pytest.mark.parametrize(
    ("said", "along"),
    [
        ({"provider": {"order": ["Together", "acme"], "sort": "price"}},
         {"provider": {"order": ["Together"], "sort": "price"}}),
        ({"provider": {"only": ["together"]}}, {"provider": {"only": ["together"]}}),
        ({"provider": {"ignore": ["azure", "acme"]}}, {"provider": {"ignore": ["azure"]}}),
        ({"provider": {"data_collection": "allow", "enforce_distillable_text": True, "hedge": False}},
         {"provider": {"data_collection": "allow", "enforce_distillable_text": True}}),
        ({"provider": {"order": ["acme"], "local_only": False}}, {}),
        ({"models": ["x/y", "routed", "z"]}, {"models": ["x/y", "z"]}),
        ({"provider": {}, "models": []}, {}),
        # What OpenRouter alone knows, and what is empty.
        ({"provider": {"max_price": {"prompt": 900, "image": 0.5}}},
         {"provider": {"max_price": {"prompt": 900, "image": 0.5}}}),
        ({"provider": {"max_price": {"request": 1}, "sort": "exacto"}},
         {"provider": {"max_price": {"request": 1}, "sort": "exacto"}}),
        ({"provider": {"sort": {"by": "exacto"}, "quantizations": ["fp12"]}},
         {"provider": {"sort": {"by": "exacto"}, "quantizations": ["fp12"]}}),
        ({"provider": {"order": None, "only": None, "sort": None}}, {}),
        ({"provider": {"order": None, "ignore": ["azure"], "hedge": False}}, {"provider": {"ignore": ["azure"]}}),
        # What it sees to by itself.
        ({"provider": {"data_collection": "deny"}}, {"provider": {"data_collection": "deny"}}),
        ({"provider": {"zdr": True}}, {"provider": {"zdr": True}}),
        ({"provider": {"quantizations": ["fp8"], "max_price": {"completion": 1}}},
         {"provider": {"quantizations": ["fp8"], "max_price": {"completion": 1}}}),
        ({"provider": {"require_parameters": True}}, {"provider": {"require_parameters": True}}),
    ],
)  # fmt: skip
async def test_what_is_not_for_weebill_goes_along(
    worker: RunningWorker, upstream: Upstream, said: dict[str, object], along: dict[str, object]
) -> None:
    for path, body in BODIES.items():
        response = await worker.client.post(path, json={**body, **said})
        assert response.status_code == 200, (path, response.text)
        sent = upstream.requests[-1].json
        assert {name: sent[name] for name in ("provider", "models") if name in sent} == along, path
        assert "x-weebill-dropped" not in response.headers


@pytest.mark.parametrize(
    "demand",
    [
        {"max_price": {"image": 1}}, {"quantizations": ["fp12"]}, {"data_collection": "deny"}, {"zdr": True},
        {"only": ["together"]}, {"max_price": {"prompt": 900, "request": 1}},
    ],
)  # fmt: skip
async def test_a_demand_that_only_openrouter_can_meet_is_left_to_it(
    worker: RunningWorker, upstream: Upstream, other: Upstream, demand: dict[str, object]
) -> None:
    """Of two who serve the model."""
    for _ in range(3):
        response = await worker.client.post(CHAT, json={**HELLO, "model": "both", "provider": demand})
        assert response.status_code == 200, response.text
    assert (len(upstream.requests), len(other.requests)) == (3, 0)
    away = {**demand, "ignore": ["openrouter", "second"]}
    response = await worker.client.post(CHAT, json={**HELLO, "model": "both", "provider": away})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "no_deployment")


@pytest.mark.parametrize(
    ("scope", "demanded", "said", "along"),
    [
        ("installation", Preferences(zdr=True), {}, {"zdr": True}),
        ("key", Preferences(data_collection="deny"), {"order": ["Together"]},
         {"order": ["Together"], "data_collection": "deny"}),
        ("alias", Preferences(zdr=True, data_collection="deny"), {"zdr": False, "data_collection": "allow"},
         {"zdr": True, "data_collection": "deny"}),
        ("alias", Preferences(zdr=False, data_collection="allow", sort="price"), {}, None),
    ],
)  # fmt: skip
async def test_what_configuration_demands_is_told_to_openrouter(
    tmp_path: Path,
    upstream: Upstream,
    scope: str,
    demanded: Preferences,
    said: dict[str, object],
    along: dict[str, object] | None,
) -> None:
    upstream.script = complete()
    settings = Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers={"openrouter": ProviderSettings(base_url=upstream.base_url, api_key="k", models=("routed",))},
        routing=RoutingSettings(
            preferences=demanded if scope == "installation" else Preferences(),
            keys={"test": demanded} if scope == "key" else {},
        ),
        aliases={
            "private": AliasSettings(models=("routed",), preferences=demanded if scope == "alias" else Preferences())
        },
    )
    preferring = {"provider": said} if said else {}
    async with running_worker(tmp_path / "home", settings) as worker:
        for path, body in {**BODIES, "/v1/embeddings": {"input": "hi", "model": "routed"}}.items():
            body = {**body, "model": "private"} if "model" in body else body
            before = len(upstream.requests)
            await worker.client.post(path.replace("routed", "private"), json={**body, **preferring})
            assert len(upstream.requests) > before, path
            assert upstream.requests[-1].json.get("provider") == along, path
        # In a form there is no place for it.
        form = {"model": (None, "private"), "file": ("a.wav", b"RIFF")}
        response = await worker.client.post("/v1/audio/transcriptions", files=form)
        assert (response.status_code == 404) == (along is not None)


async def test_weebills_own_members_are_what_they_must_be(worker: RunningWorker) -> None:
    for said in ({"local_only": "yes"}, {"regions": 1}, {"hedge": []}):
        response = await worker.client.post(CHAT, json={**HELLO, "model": "routed", "provider": said})
        assert (response.status_code, response.json()["error"]["param"]) == (400, f"provider.{next(iter(said))}")


async def test_weebills_names_come_first(worker: RunningWorker, upstream: Upstream, other: Upstream) -> None:
    async def asked(**provider: object) -> tuple[int, int]:
        before = len(upstream.requests), len(other.requests)
        response = await worker.client.post(CHAT, json={**HELLO, "model": "both", "provider": provider})
        assert response.status_code == 200, response.text
        return len(upstream.requests) - before[0], len(other.requests) - before[1]

    assert await asked(order=["acme", "together"]) == (0, 1)
    assert await asked(only=["acme", "together"]) == (0, 1)
    assert await asked(only=["together"]) == (1, 0)
    assert await asked(order=["together"]) == (1, 0)
    assert await asked(ignore=["together"]) == (0, 1)


async def test_elsewhere_they_are_hints_but_for_only(worker: RunningWorker, other: Upstream) -> None:
    hints: tuple[dict[str, object], ...] = (
        {"provider": {"order": ["together"]}}, {"provider": {"ignore": ["together"]}}, {"models": ["x/y"]},
        {"provider": {"order": ["acme"], "sort": "price"}},
    )  # fmt: skip
    named = ["provider.order", "provider.ignore", "models", None]
    for said, name in zip(hints, named, strict=True):
        response = await worker.client.post(CHAT, json={**HELLO, "model": "own", **said})
        assert response.status_code == 200, response.text
        assert not {"provider", "models"} & set(other.requests[-1].json)
        assert response.headers.get("x-weebill-dropped") == name
    response = await worker.client.post(CHAT, json={**HELLO, "model": "own", "provider": {"only": ["together"]}})
    assert (response.status_code, response.json()["error"]["code"]) == (404, "no_deployment")


@pytest.mark.parametrize(
    "own",
    [{}, {"drop_params": True}, {"provider": {"sort": "price"}}, {"models": ["own"]}, {"provider": {"hedge": False}}],
)
@pytest.mark.parametrize(
    "asked", [{"max_tokens": 32_000}, {"max_completion_tokens": 200_000}, {"reasoning_effort": "low"}]
)
async def test_weebills_own_fields_refuse_nothing(
    worker: RunningWorker, own: dict[str, object], asked: dict[str, object]
) -> None:
    response = await worker.client.post(CHAT, json={**HELLO, "model": "gpt-4o-mini", **asked, **own})
    assert response.status_code == 200, json.dumps(response.json())
