"""Servers on loopback are watched as vLLM and SGLang answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fixtures.model_servers import ModelServer, running_server
from weebill.catalog.load import providers
from weebill.config.schema import DiscoverySettings, ProviderSettings
from weebill.discovery.watching import Watch
from weebill.routing.servers import Load, ServedModel, ServerState
from weebill.transport.client import Client


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A watch over one server, and all that it has told."""

    def __init__(self, server: ModelServer, client: Client, **settings: float) -> None:
        self.told: list[ServerState] = []
        self.clock = Clock()
        row = providers()[server.kind]
        assert row.server is not None
        provider = ProviderSettings(catalog=server.kind, dialect="openai", base_url=server.base_url, api_key="sk-up")
        self.watch = Watch(
            "own", provider, row, row.server, DiscoverySettings(**settings), client, self._put, self.clock
        )

    def waits(self, timeout_s: float) -> None:
        """Wait for each answer for so long from now on."""
        self.watch._settings = DiscoverySettings(timeout_s=timeout_s)

    def _put(self, state: ServerState) -> bool:
        self.told.append(state)
        return True


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    client.close()


async def test_vllm_tells_its_models_adapters_and_load(client: Client) -> None:
    async with running_server("vllm", adapters={"sql": "/loras/sql"}, running=3, waiting=2, cache_use=0.5) as server:
        state = await Watched(server, client).watch.look()
    assert state == ServerState(
        provider="own",
        status="ready",
        models=(ServedModel("Qwen/Qwen3-8B", 4096), ServedModel("sql", 0, "Qwen/Qwen3-8B")),
        load=Load(3, 2, 0.5),
    )
    assert {request.path for request in server.upstream.requests} == {"/v1/models", "/health", "/metrics"}
    assert {request.headers["authorization"] for request in server.upstream.requests} == {"Bearer sk-up"}


async def test_sglang_is_asked_for_health_rarely_as_it_generates_for_that(client: Client) -> None:
    async with running_server("sglang", starting=True) as server:
        it = Watched(server, client)
        assert (await it.watch.look()).status == "unready"
        server.starting = False
        for _ in range(3):
            it.clock.now += 5
            assert (await it.watch.look()).status == "ready"
        # Until it was ready every time, then once in half a minute.
        assert server.asked("/health") == 2
        it.clock.now += 30
        await it.watch.look()
        assert server.asked("/health") == 3


async def test_sglang_whose_model_generates_nothing_any_more_is_down_after_three_looks(client: Client) -> None:
    async with running_server("sglang") as server:
        it = Watched(server, client)
        assert (await it.watch.look()).status == "ready"
        server.sick = True
        it.waits(0.05)
        it.clock.now += 30
        assert [(await it.watch.look()).status for _ in range(3)] == ["ready", "ready", "down"]
        server.sick = False
        it.waits(60)
        assert (await it.watch.look()).status == "ready"


async def test_a_fault_ends_no_watch(client: Client) -> None:
    async with running_server("vllm") as server:
        it = Watched(server, client, interval_s=0.1)
        put, faults = it._put, 2

        def fails(state: ServerState) -> bool:
            nonlocal faults
            faults -= 1
            return 1 / 0 > 0 if faults >= 0 else put(state)

        it.watch._put = fails
        running = asyncio.create_task(it.watch.run())
        async with asyncio.timeout(60):
            while not it.told:
                await asyncio.sleep(0.02)
        running.cancel()


async def test_one_that_starts_again_keeps_the_names_of_its_models(client: Client) -> None:
    async with running_server("vllm") as server:
        it = Watched(server, client)
        ready = await it.watch.look()
        server.starting = True
        state = await it.watch.look()
    assert (state.status, state.models, state.load) == ("unready", ready.models, None)
    client.close()  # the connection that was kept would still be answered
    gone = await it.watch.look()
    assert (gone.status, gone.why, gone.models) == ("down", "it refused the connection", ready.models)


async def test_a_late_answer_is_no_reason_to_give_it_up_but_three_are(client: Client) -> None:
    async with running_server("vllm", waiting=4) as server:
        it = Watched(server, client)
        ready = await it.watch.look()
        assert ready.load == Load(0, 4, 0.0)
        server.silent = True
        it.waits(0.05)
        for _ in range(2):
            doubted = await it.watch.look()
            assert (doubted.status, doubted.models, doubted.load) == ("ready", ready.models, None)
        assert (await it.watch.look()).status == "down"
        server.silent = False
        it.waits(60)
        assert await it.watch.look() == ready


async def test_the_interval_grows_while_it_is_away_and_is_bounded(client: Client) -> None:
    async with running_server("vllm") as server:
        it = Watched(server, client, interval_s=0.5)
        await it.watch.look()
        assert it.watch.interval_s == 0.5
    client.close()
    intervals = []
    for _ in range(8):
        await it.watch.look()
        intervals.append(it.watch.interval_s)
    assert intervals[:4] == [1.0, 2.0, 4.0, 8.0]
    assert set(intervals[4:]) == {10.0}


async def test_metrics_that_are_off_make_the_load_unknown_and_nothing_else(client: Client) -> None:
    async with running_server("sglang") as server:
        it = Watched(server, client)
        server._metrics = lambda: ""  # type: ignore[method-assign]
        state = await it.watch.look()
    assert (state.status, state.load) == ("ready", None)
