"""A one-token call to a provider, and what it tells."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.fixtures.upstream import Upstream, answer, complete, send
from weebill.config.schema import LocalSettings, ProviderSettings, Settings
from weebill.gateway.probe import probe


def settings(base_url: str, **provider: object) -> Settings:
    acme = ProviderSettings(dialect="openai", base_url=base_url, api_key="k", **{"models": ("m",), **provider})  # type: ignore[arg-type]
    return Settings(local=LocalSettings(models=()), providers={"acme": acme})


async def test_a_provider_that_answers(upstream: Upstream) -> None:
    upstream.script = complete()
    result = await asyncio.to_thread(probe, "acme", settings(upstream.base_url))
    assert (result.ok, result.status) == (True, 200)
    asked = upstream.requests[-1].json
    assert (asked["model"], asked["max_tokens"]) == ("m", 1)


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "key is wrong"), (404, "model or the address"), (429, "limit"), (500, "")]
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
