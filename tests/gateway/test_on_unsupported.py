"""What becomes of fields that a target cannot do, by whoever says so: installation, provider, alias, key or request."""

import json
from contextlib import AbstractAsyncContextManager
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fixtures.upstream import DONE, USAGE_CHUNK, Upstream, answer, chunk, running_upstream, send, stream
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.routing import AliasSettings, Preferences, RoutingSettings
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings

Json = dict[str, Any]
SAID = {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
COHERE = answer(200, json.dumps({"id": "x", "message": SAID, "finish_reason": "COMPLETE"}).encode())
FAILED = answer(500, b'{"message":"down"}')
# Hints and demands that Cohere cannot meet.
HINTS: Json = {"x_new": 1, "metadata": {"a": "b"}}
DEMANDS: Json = {"n": 2, "logit_bias": {"5": 1}}


WORDS = ("drop-hints", "refuse", "drop")


def installation(upstream: Upstream, other: Upstream | None = None, **routing: Any) -> Settings:
    """A provider that says each word and one that says none, and aliases of each that do so, too."""
    said: tuple[Any, ...] = (None, *WORDS)
    providers = {
        f"co-{word}": ProviderSettings(
            dialect="cohere", base_url=upstream.base_url, api_key="s", models=("m",), on_unsupported=word
        )
        for word in said
    }
    if other is not None:
        providers["acme"] = ProviderSettings(base_url=other.base_url, api_key="s", models=("o",))
    aliases = {
        f"{provider}-{word}": AliasSettings(
            models=(f"{provider}/m",),
            fallbacks=("acme/o",) if other is not None else (),
            preferences=Preferences(on_unsupported=word),
        )
        for provider in providers
        if provider != "acme"
        for word in said
    }
    return Settings(
        server=ServerSettings(port=0),
        local=LocalSettings(models=()),
        providers=providers,
        routing=RoutingSettings(**routing),
        aliases=aliases,
    )


def running(tmp_path: Path, settings: Settings) -> AbstractAsyncContextManager[RunningWorker]:
    return running_worker(tmp_path / "home", settings)


async def ask(worker: RunningWorker, model: str = "co-None-None", **fields: object) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return await worker.client.post("/v1/chat/completions", json=body)


def dropped(response: httpx.Response) -> set[str]:
    return set(response.headers["x-weebill-dropped"].split(", "))


async def check(worker: RunningWorker, word: str, model: str, **own: object) -> None:
    """That hints and demands, several at once, fare by the word."""
    hints = await ask(worker, model, **HINTS, **own)
    demands = await ask(worker, model, **DEMANDS, **own)
    if word == "refuse":
        assert (hints.status_code, hints.json()["error"]["param"] in HINTS) == (400, True)
    else:
        assert (hints.status_code, dropped(hints)) == (200, HINTS.keys())
    if word == "drop":
        assert (demands.status_code, dropped(demands)) == (200, DEMANDS.keys())
    else:
        assert (demands.status_code, demands.json()["error"]["param"] in DEMANDS) == (400, True)


@pytest.mark.parametrize("of_all", WORDS)
async def test_the_nearest_who_says_anything_decides(tmp_path: Path, upstream: Upstream, of_all: Any) -> None:
    """The request, then the alias, then the provider, then the installation."""
    upstream.script = send(COHERE)
    async with running(tmp_path, installation(upstream, on_unsupported=of_all)) as worker:
        for provider, alias, request in product((None, *WORDS), repeat=3):
            own = {"provider": {"on_unsupported": request}} if request else {}
            await check(worker, request or alias or provider or of_all, f"co-{provider}-{alias}", **own)
        await check(worker, "drop", "co-refuse-refuse", drop_params=True)


@pytest.mark.parametrize("of_key", WORDS)
async def test_a_key_says_so_of_all_that_it_asks(tmp_path: Path, upstream: Upstream, of_key: Any) -> None:
    upstream.script = send(COHERE)
    settings = installation(upstream, on_unsupported="refuse", keys={"test": Preferences(on_unsupported=of_key)})
    async with running(tmp_path, settings) as worker:
        for provider, request in product((None, *WORDS), repeat=2):
            own = {"provider": {"on_unsupported": request}} if request else {}
            await check(worker, request or of_key, f"co-{provider}-None", **own)


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_said_is_of_the_target_that_answers(tmp_path: Path, upstream: Upstream, streamed: bool) -> None:
    """Of one in another dialect, after the first has failed: each is sent all that it can do."""
    async with running_upstream() as other:
        upstream.script = send(FAILED)
        if streamed:
            other.script = stream(chunk("Hello."), chunk(finish="stop"), USAGE_CHUNK, DONE)
        async with running(tmp_path, installation(upstream, other)) as worker:
            response = await ask(worker, **HINTS, stream=streamed)
            assert response.status_code == 200, response.text
            assert "Hello" in response.text
            assert "x-weebill-dropped" not in response.headers
            assert "acme" in response.headers["x-weebill-route"]
            assert (await worker.record()).dropped == ""
    assert upstream.requests
    assert not HINTS.keys() & upstream.requests[0].json.keys()
    assert {name: other.requests[0].json[name] for name in HINTS} == HINTS


async def test_a_demand_goes_to_the_target_that_can_meet_it(tmp_path: Path, upstream: Upstream) -> None:
    """And so does what only one of the client's own API can be sent, whatever it is."""
    video = [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://x.example/a"}}]}]
    asked: list[Json] = [DEMANDS, {"messages": video}, {"messages": [{"role": "user", "content": [{"x": 1}]}]}]
    async with running_upstream() as other:
        upstream.script = send(COHERE)
        async with running(tmp_path, installation(upstream, other)) as worker:
            for fields in asked:
                response = await ask(worker, **fields)
                assert response.status_code == 200, response.text
                assert "acme" in response.headers["x-weebill-route"]
            told = await ask(worker, messages=video, provider={"only": ["co-None"]})
            assert (told.status_code, told.json()["error"]["param"]) == (400, "messages[0].content[0].type")
    assert upstream.requests == []
    for fields, request in zip(asked, other.requests, strict=True):
        assert {name: request.json[name] for name in fields} == fields


@pytest.mark.parametrize("kind", ["video_url", "hologram"])
@pytest.mark.parametrize(
    ("provider", "alias", "status"),
    [(None, None, 400), (None, "refuse", 400), ("drop", "refuse", 400), ("drop", None, 200), (None, "drop", 200)],
)
async def test_what_chat_itself_has_no_place_for_fares_alike(
    tmp_path: Path, upstream: Upstream, provider: str | None, alias: str | None, status: int, kind: str
) -> None:
    upstream.script = send(COHERE)
    part = {"type": kind, kind: {"url": "https://x.example/a"}}
    said = [{"role": "user", "content": [{"type": "text", "text": "Hi"}, part]}]
    async with running(tmp_path, installation(upstream)) as worker:
        response = await ask(worker, f"co-{provider}-{alias}", messages=said)
        assert response.status_code == status, response.text
        if status == 200:
            assert dropped(response) == {"messages[0].content[1]"}


EMBEDDINGS = answer(200, b'{"id":"x","embeddings":{"float":[[0.5]]},"meta":{"billed_units":{"input_tokens":1}}}')


@pytest.mark.parametrize("field", [{"input_type": "telepathy"}, {"task_type": "telepathy"}])
@pytest.mark.parametrize(
    ("provider", "alias", "status"),
    [(None, None, 400), ("drop", "refuse", 400), ("drop", None, 200), (None, "drop", 200)],
)
async def test_other_operations_heed_the_nearest_word(
    tmp_path: Path, upstream: Upstream, provider: str | None, alias: str | None, status: int, field: Json
) -> None:
    upstream.script = send(EMBEDDINGS)
    async with running(tmp_path, installation(upstream)) as worker:
        asked = {"model": f"co-{provider}-{alias}", "input": "a", **field}
        response = await worker.client.post("/v1/embeddings", json=asked)
        assert response.status_code == status, response.text
