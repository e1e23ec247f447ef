"""A one-token call to a provider, and what it tells."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.fixtures.model_servers import running_server
from tests.fixtures.upstream import Upstream, answer, complete, send
from weebill.config.schema import LocalSettings, ProviderSettings, Settings
from weebill.gateway.probe import probe


def settings(base_url: str, **provider: object) -> Settings:
    fields = {"dialect": "openai", "models": ("m",), **provider}
    acme = ProviderSettings(base_url=base_url, api_key="k", **fields)  # type: ignore[arg-type]
    return Settings(local=LocalSettings(models=()), providers={"acme": acme})


async def test_a_provider_that_answers(upstream: Upstream) -> None:
    upstream.script = complete()
    result = await asyncio.to_thread(probe, "acme", settings(upstream.base_url))
    assert (result.ok, result.status) == (True, 200)
    asked = upstream.requests[-1].json
    assert (asked["model"], asked["max_tokens"]) == ("m", 1)


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "key is wrong"), (402, "credit"), (404, "model or the address"), (429, "limit"), (500, "")],
)
async def test_a_provider_that_refuses(upstream: Upstream, status: int, hint: str) -> None:
    upstream.script = send(answer(status, json.dumps({"error": {"message": "not today"}}).encode()), close=True)
    result = await asyncio.to_thread(probe, "acme", settings(upstream.base_url))
    assert (result.ok, result.status) == (False, status)
    assert "not today" in result.message
    assert hint in result.hint


def test_a_provider_that_is_not_there() -> None:
    result = probe("acme", settings("http://127.0.0.1:9/v1"))
    assert (result.ok, result.status) == (False, None)
    assert "reachable" in result.hint


def test_a_provider_without_a_model() -> None:
    result = probe("acme", settings("http://127.0.0.1:9/v1", models=()))
    assert not result.ok
    assert "models" in result.hint


async def test_what_is_wrong_is_told_by_more_than_the_status(upstream: Upstream) -> None:
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}}
    upstream.script = send(answer(400, json.dumps(said).encode()), close=True)
    result = await asyncio.to_thread(probe, "acme", settings(upstream.base_url, dialect="anthropic"))
    assert (result.ok, result.status) == (False, 400)
    assert "credit" in result.hint


async def test_an_answer_in_another_dialect_is_none(upstream: Upstream) -> None:
    upstream.script = complete()
    result = await asyncio.to_thread(probe, "acme", settings(upstream.base_url, dialect="anthropic"))
    assert (result.ok, result.status) == (False, 200)
    assert "dialect" in result.hint


async def test_a_provider_of_embeddings_alone(upstream: Upstream) -> None:
    body = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
    upstream.script = send(answer(200, json.dumps(body | {"usage": {"total_tokens": 1}}).encode()), close=True)
    voyage = ProviderSettings(dialect="openai", base_url=upstream.base_url, api_key="k")
    known = Settings(local=LocalSettings(models=()), providers={"voyage": voyage})
    result = await asyncio.to_thread(probe, "voyage", known)
    assert (result.ok, result.status, result.message) == (True, 200, f"{upstream.requests[-1].json['model']} answered")
    assert upstream.requests[-1].json["input"] == "Hi"


async def test_a_server_that_lists_its_models_is_asked_for_them() -> None:
    async with running_server("vllm") as server:
        listing = settings(server.base_url, catalog="vllm", models=())
        result = await asyncio.to_thread(probe, "acme", listing)
        assert (result.ok, result.message) == (True, f"{server.base} answered")
        [asked] = server.chats
        assert asked["model"] == server.base


async def test_a_server_that_is_not_there_is_said_to_be_so() -> None:
    listing = settings("http://127.0.0.1:9/v1", catalog="vllm", models=())
    result = await asyncio.to_thread(probe, "acme", listing)
    assert (result.ok, result.status) == (False, None)
    assert "cannot connect" in result.message
