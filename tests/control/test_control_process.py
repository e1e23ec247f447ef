from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from collections.abc import Awaitable, Callable
from contextlib import closing

import msgspec
from control_process import ENGINE, ControlProcess, write_records

from weebill.config.paths import Home
from weebill.config.schema import LogSettings, MeteringSettings, ProviderSettings, Settings
from weebill.process.messages import Engines, Failed, Processes, ProcessState, Reload
from weebill.storage.database import open_ledger, open_reader
from weebill.usage.journal import JournalWriter
from weebill.usage.records import Intent


def count_usage(home: Home) -> int:
    with closing(open_reader(home.database)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM usage").fetchall()[0][0])


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


async def test_usage_is_ingested_while_it_runs_and_when_it_drains(
    control: ControlProcess, home: Home, admin: str
) -> None:
    write_records(home, 30)
    async with control.client(admin) as client:
        while len((await client.get("/api/v1/usage")).json()["data"]) < 30:
            await asyncio.sleep(0.05)
    write_records(home, 5000)
    assert await control.drain() == 0
    assert count_usage(home) == 5030
    assert list(home.journal.iterdir()) == []


async def test_what_a_dead_worker_had_under_way_is_priced(control: ControlProcess, home: Home, admin: str) -> None:
    openai = ProviderSettings(base_url="http://127.0.0.1:9/v1", api_key="key", models=("gpt-4o-mini",))
    control.link.send(Reload(settings=Settings(providers={"openai": openai})))
    async with control.client(admin) as client:
        while "gpt-4o-mini" not in (await client.get("/api/v1/info")).text:
            await asyncio.sleep(0.05)
        journal = JournalWriter(home.journal, 0, MeteringSettings())
        asked = Intent("req_1", "key_1", "chat.completions", "gpt", "gpt-4o-mini", "openai", False, 1, 4_000_000)
        journal.intend(asked)
        journal.close()
        while not (found := (await client.get("/api/v1/usage")).json()["data"]):
            await asyncio.sleep(0.05)
    assert len(found) == 1
    assert '"worker_died"' in json.dumps(found)
    with closing(open_reader(home.database)) as ledger:
        [(cost_nano,)] = ledger.execute("SELECT cost_nano FROM usage").fetchall()
    assert cost_nano == 150_000_000  # a million tokens at 0.15 dollars


async def test_a_lost_supervisor_ends_it_at_once(control: ControlProcess) -> None:
    control.link.close()
    async with asyncio.timeout(5):
        assert await control.process.wait() == 1


async def test_a_newer_ledger_is_reported(
    admin: str, home: Home, start: Callable[[], Awaitable[ControlProcess]]
) -> None:
    with closing(open_ledger(home.database)) as ledger:
        ledger.execute("PRAGMA user_version = 99")
    control = await start()
    message = await control.link.receive()
    assert isinstance(message, Failed)
    assert "made by a newer Weebill" in message.message
    assert await control.process.wait() == 1


async def test_ingestion_outlives_a_locked_ledger(control: ControlProcess, home: Home, admin: str) -> None:
    with closing(sqlite3.connect(home.database, isolation_level=None)) as locker:
        locker.execute("BEGIN IMMEDIATE")
        write_records(home, 10)
        async with control.client(admin) as client:  # the API does not wait for the ingestion
            assert (await client.get("/api/v1/usage")).json()["data"] == []
        locker.execute("ROLLBACK")
    async with control.client(admin) as client:
        while len((await client.get("/api/v1/usage")).json()["data"]) < 10:
            await asyncio.sleep(0.05)


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
