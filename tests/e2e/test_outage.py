"""A real `weebill serve` under load whose ledger is stopped, slow, silent or full: keys that were met are served on."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from bench.outage.between import Between
from tests.e2e.outages import (
    SLOW_S,
    SMALL,
    Running,
    answered,
    assert_all_is_accounted_for,
    assert_no_loop_stood_still,
    assert_serves_on,
    assert_unavailable,
    managed,
    under_load,
    used_up,
)
from tests.fixtures.postgresql import PostgresServer
from weebill.config.schema import DatabaseSettings

SHORT_S = 0.5
STEADY = 40
RESPONSES = {"model": "gpt-4o-mini", "input": "Hi", "max_output_tokens": 20}


async def assert_out_of_reach(running: Running) -> None:
    """What takes the ledger says that it is not there, and the rest goes on."""
    unmet, managing, stored, _ = await asyncio.gather(
        running.ask("unmet"),
        running.manage(),
        running.ask("steady", "/v1/responses", RESPONSES),
        assert_serves_on(running),
    )
    assert_unavailable(unmet, "ledger_unavailable")
    assert_unavailable(managing, "ledger_unavailable")
    assert_unavailable(stored, "store_unavailable")
    calls = len([each for each in running.upstream.requests if "/responses" in each.path])
    assert_unavailable(await running.ask("steady", "/v1/responses", RESPONSES), "store_unavailable")
    assert len([each for each in running.upstream.requests if "/responses" in each.path]) in (calls, calls + 1)


async def begun(running: Running) -> None:
    """Each worker has met `steady` and `small`, and holds a part of what they may use."""
    while len(running.load.answered) < STEADY:
        await asyncio.sleep(SHORT_S)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(running.ask("small")) for _ in range(8)]
    running.small.update(each.result().status_code for each in asked)
    assert set(running.small) == {200}


async def ended(running: Running) -> None:
    """All is well again, and adds up."""
    await answered(running, "unmet")
    await managed(running)
    while 429 not in running.small:
        running.small[(await running.ask("small")).status_code] += 1
    await assert_no_loop_stood_still(running)
    assert set(running.load.statuses) == {200}, running.load.statuses


@pytest.mark.timeout(240)
@pytest.mark.parametrize("long_s", [SHORT_S, pytest.param(20.0, marks=pytest.mark.slow)])
async def test_postgresql_is_stopped_slow_and_crashes(
    tmp_path: Path, own_postgres_server: PostgresServer, long_s: float
) -> None:
    server = own_postgres_server
    with Between(server.port) as between:
        url = server.database().replace(f":{server.port}/", f":{between.port}/")
        async with under_load(tmp_path, DatabaseSettings(url=url)) as running:
            await begun(running)
            await asyncio.to_thread(server.stop)
            await assert_out_of_reach(running)
            await used_up(running)
            await asyncio.sleep(long_s)
            await assert_serves_on(running)
            await asyncio.to_thread(server.start)
            await managed(running)
            between.delay_s = SLOW_S
            await assert_out_of_reach(running)
            await asyncio.sleep(long_s)
            between.delay_s = 0.0
            await managed(running)
            await asyncio.to_thread(server.stop, signal.SIGQUIT)
            await asyncio.to_thread(server.start)
            await ended(running)
        await assert_all_is_accounted_for(running)
        assert running.small[200] == SMALL


def of_the_ledger(running: Running) -> psutil.Process:
    (process,) = running.installation.children("weebill.ledger")
    return process


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("locked_s", "full_s", "made"), [(SLOW_S, SHORT_S, 201), pytest.param(20.0, 20.0, 503, marks=pytest.mark.slow)]
)
async def test_a_sqlite_ledger_is_locked_and_its_disk_is_full(
    tmp_path: Path, locked_s: float, full_s: float, made: int
) -> None:
    async with under_load(tmp_path, DatabaseSettings()) as running:
        await begun(running)
        path = running.installation.home / "weebill.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as locker:
            locker.execute("BEGIN IMMEDIATE")
            making = asyncio.create_task(running.make_key("late"))
            await assert_serves_on(running)
            assert (await running.models("unmet")).status_code == 200, "readers need no lock"
            await asyncio.sleep(locked_s)
            locker.execute("ROLLBACK")
        assert (await making).status_code == made
        ledger = of_the_ledger(running)
        _, most = ledger.rlimit(psutil.RLIMIT_FSIZE)
        ledger.rlimit(psutil.RLIMIT_FSIZE, (4096, most))  # nothing can be written beyond that
        await asyncio.sleep(SHORT_S)
        await used_up(running)
        await assert_serves_on(running)
        assert (await running.manage()).status_code == 200
        await asyncio.sleep(full_s)
        ledger.rlimit(psutil.RLIMIT_FSIZE, (most, most))
        await ended(running)
        assert of_the_ledger(running).pid == ledger.pid
    await assert_all_is_accounted_for(running)
    assert running.small[200] == SMALL


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_processes_stand_still(tmp_path: Path, own_postgres_server: PostgresServer) -> None:
    settings = DatabaseSettings(url=own_postgres_server.database())
    async with under_load(tmp_path, settings) as running:
        await begun(running)
        ledger = of_the_ledger(running)
        (control,) = running.installation.children("weebill.control")
        for each in (ledger, control):
            os.kill(each.pid, signal.SIGSTOP)
        await assert_serves_on(running)
        await answered(running, "unmet")
        await managed(running)
        assert not ledger.is_running()
        assert not control.is_running()
        ledger = of_the_ledger(running)
        backends = own_postgres_server.backends()
        assert backends
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(10)
        await assert_serves_on(running)
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
        await ended(running)
        assert of_the_ledger(running).pid == ledger.pid, "it waits, and is not to blame"
    await assert_all_is_accounted_for(running)
