"""A worker in front of an upstream that each test scripts."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fixtures.upstream import Upstream, running_upstream
from tests.fixtures.worker import RunningWorker, running_worker
from weebill.config.schema import LocalSettings, ProviderSettings, ServerSettings, Settings


def settings(upstream: Upstream) -> Settings:
    acme = ProviderSettings(
        base_url=upstream.base_url,
        api_key="upstream-secret",
        models=("gpt-4o-mini", "other"),
        forward_headers=("X-Trace",),
        max_connections=8,
        first_byte_timeout_s=2.0,
        idle_timeout_s=1.0,
    )
    return Settings(
        server=ServerSettings(port=0, model_in_answers="served"),  # so that what passes can be compared
        local=LocalSettings(models=()),
        providers={"acme": acme},
        aliases={"large": "gpt-4o-mini", "biggest": "large"},
    )


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as running:
        yield running


@pytest.fixture
async def worker(tmp_path: Path, upstream: Upstream) -> AsyncIterator[RunningWorker]:
    async with running_worker(tmp_path / "home", settings(upstream)) as running:
        yield running
