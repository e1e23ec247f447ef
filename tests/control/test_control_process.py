from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable

import msgspec
from control_process import ENGINE, ControlProcess

from weebill.config.paths import Home
from weebill.config.schema import LogSettings, Settings
from weebill.process.messages import Engines, Processes, ProcessState, Reload


async def test_its_socket_is_private_and_replaces_a_stale_one(
    admin: str, home: Home, start: Callable[[], Awaitable[ControlProcess]]
) -> None:
    first = await (await start()).ready()
    assert stat.S_IMODE(home.control_socket.stat().st_mode) == 0o600
    first.process.kill()
    await first.process.wait()
    assert home.control_socket.exists()
    second = await (await start()).ready()
    async with second.client() as client:
        assert (await client.get("/api/v1/info")).status_code == 200
    assert await second.drain() == 0
    assert not home.control_socket.exists()
    assert list(home.run.glob(".*")) == []


async def test_a_lost_supervisor_ends_it_at_once(control: ControlProcess) -> None:
    control.link.close()
    async with asyncio.timeout(60):
        assert await control.process.wait() == 1


async def test_it_follows_the_supervisor(control: ControlProcess, admin: str) -> None:
    worker = ProcessState(name="worker-0", role="worker", pid=4, state="ready", restarts=2, started_at=5.0)
    control.link.send(Processes(processes=(worker,)))
    control.link.send(Engines(engines=(msgspec.structs.replace(ENGINE, base_url=None),)))
    control.link.send(Reload(settings=Settings(log=LogSettings(format="json", level="debug"))))
    async with control.client(admin) as client:
        while not (status := (await client.get("/api/v1/status")).json())["processes"]:
            await asyncio.sleep(0.05)
        assert status["processes"] == [msgspec.to_builtins(worker)]
        while (status := (await client.get("/api/v1/status")).json())["engines"][0]["ready"]:
            await asyncio.sleep(0.05)
        info = (await client.get("/api/v1/info")).json()
    assert info["ready"] is False
    assert {model["available"] for model in info["models"]} == {False}


async def test_it_never_logs_a_key(control: ControlProcess, admin: str, user: str) -> None:
    async with control.client(admin) as client:
        created = (await client.post("/api/v1/keys", json={"name": "new"})).json()["secret"]
    async with control.client(user) as client:
        await client.get("/api/v1/status")
    assert await control.drain() == 0
    log = await control.log()
    assert not any(secret in log for secret in (admin, user, created, ENGINE.api_key))
