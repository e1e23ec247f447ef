"""The discovery process: tells followers what changes, takes up reloads, and loads adapters for whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing

import msgspec
import pytest

from tests.fixtures.discovering import discovering, serving
from tests.fixtures.model_servers import Kind, running_server
from weebill.config.paths import Home
from weebill.process.messages import Ping, Pong, Reload
from weebill.process.questions import Questions
from weebill.routing.adapters import (
    TOPIC,
    Adapted,
    Adapter,
    AdapterQuestion,
    ListAdapters,
    LoadAdapter,
    UnloadAdapter,
)
from weebill.routing.server_news import Servers
from weebill.routing.servers import TOPIC as SERVERS

BASE = "Qwen/Qwen3-8B"


async def until(held: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not held():
            await asyncio.sleep(0.02)


async def test_followers_are_told_of_changes_and_reloads_change_who_is_watched(home: Home) -> None:
    async with (
        running_server("vllm") as first,
        running_server("sglang", waiting=2) as second,
        discovering(home, serving(one=first)) as process,
    ):
        servers = Servers()
        with closing(Questions(home.discovery_socket, {SERVERS: servers})) as questions:
            questions.start()
            await until(lambda: servers.states.keys() == {"one"} and servers.states["one"].status == "ready")
            first.adapters["sql"] = "/loras/sql"
            await until(lambda: [each.name for each in servers.models["one"]] == [BASE, "sql"])
            process.link.send(Reload(settings=serving(two=second)))
            await until(lambda: "two" in servers.states and servers.states["two"].load is not None)
            assert servers.states["two"].load.waiting == 2
            asked = first.asked("/v1/models")
            process.link.send(Ping())
            assert await process.link.receive() == Pong()
            second.starting = True
            await asyncio.sleep(0.3)
            assert first.asked("/v1/models") == asked
        assert await process.drain() == 0
        assert not home.discovery_socket.exists()


async def test_without_its_supervisor_it_ends(home: Home) -> None:
    async with running_server("vllm") as server, discovering(home, serving(one=server)) as process:
        process.link.close()
        assert await process.process.wait() == 1


async def test_a_successor_keeps_the_names_that_were_known(home: Home) -> None:
    async with running_server("vllm") as server:
        servers = Servers()
        with closing(Questions(home.discovery_socket, {SERVERS: servers})) as questions:
            questions.start()
            async with discovering(home, serving(one=server)):
                await until(lambda: "one" in servers.models and bool(servers.models["one"]))
            server.silent = True
            settings = msgspec.structs.replace(serving(one=server))
            lame = msgspec.structs.replace(
                settings, discovery=msgspec.structs.replace(settings.discovery, timeout_s=0.05)
            )
            async with discovering(home, lame):
                await until(lambda: servers.states["one"].status == "down")
                assert [each.name for each in servers.models["one"]] == [BASE]
                assert servers.away == {"one": "its server is down: it does not answer in time"}


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
async def test_adapters_are_loaded_listed_and_unloaded(home: Home, kind: Kind) -> None:
    async with running_server(kind) as server, discovering(home, serving(own=server)):
        with closing(Questions(home.discovery_socket)) as questions:

            async def adapted(wish: AdapterQuestion) -> Adapted:
                return msgspec.msgpack.decode(await questions.ask(TOPIC, wish), type=Adapted)

            async def listed() -> list[Adapter]:
                return msgspec.msgpack.decode(await questions.ask(TOPIC, ListAdapters()), type=list[Adapter])

            assert await adapted(LoadAdapter("own", "sql", "/loras/sql")) == Adapted(200)
            assert server.adapters == {"sql": "/loras/sql"}
            assert await listed() == [Adapter("sql", "own", BASE)]
            again = await adapted(LoadAdapter("own", "sql", "/loras/sql"))
            assert again == Adapted(400, "The lora adapter 'sql' has already been loaded.", "name")
            missing = await adapted(LoadAdapter("own", "py", "/loras/missing"))
            assert (missing.status >= 400, missing.param) == (True, "path")
            assert "No adapter found for py" in missing.message
            assert await adapted(UnloadAdapter("own", "sql")) == Adapted(200)
            assert await listed() == []
            unknown = await adapted(UnloadAdapter("own", "sql"))
            assert (unknown.message, unknown.param) == ("The lora adapter 'sql' cannot be found.", "name")
            assert (await adapted(LoadAdapter("other", "a", "b"))).param == "provider"
            server.lora = False
            off = await adapted(LoadAdapter("own", "a", "b"))
            assert off.status == 501
            assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in off.message
            posts = [request for request in server.upstream.requests if request.method == "POST"]
            assert {request.headers["authorization"] for request in posts} == {"Bearer sk-up"}
