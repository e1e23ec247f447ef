"""The ledger process as the supervisor, the workers and a disk meet it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

import pytest

from tests.fixtures.child import ChildProcess, ending
from tests.fixtures.ledger import SQLITE, open_file
from tests.fixtures.records import write_records
from weebill.accounts.api_key import TOPIC, ApiKey
from weebill.accounts.keyring import KeyRing
from weebill.accounts.pepper import read_pepper
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings, LogSettings, MeteringSettings, ProviderSettings, Settings
from weebill.ledger.role import ROLE
from weebill.process.messages import Failed, Ping, Pong, Reload
from weebill.process.questions import Followed, Questions
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger
from weebill.storage.sqlite.opening import open_reader
from weebill.usage.journal import JournalWriter
from weebill.usage.records import Intent

WAIT_S = 60.0


def query(home: Home, statement: str) -> list[Any]:
    with closing(open_reader(home.database)) as ledger:
        return ledger.execute(statement).fetchall()


def count_usage(home: Home) -> int:
    return int(query(home, "SELECT count(*) FROM usage")[0][0])


async def wait_for(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def following(home: Home) -> AsyncIterator[KeyRing]:
    """What a worker knows of keys."""
    followed: dict[str, Followed] = {}
    questions = Questions(home.ledger_socket, followed)
    ring = followed[TOPIC] = KeyRing(read_pepper(home.pepper), questions.ask)
    questions.start()
    try:
        yield ring
    finally:
        questions.close()


async def found(ring: KeyRing, secret: str) -> ApiKey | None:
    known = await ring.find(secret.encode())
    return None if known is None else known.key


async def test_usage_is_ingested_while_it_runs_and_when_it_drains(process: ChildProcess, home: Home) -> None:
    write_records(home, 30)
    await wait_for(lambda: count_usage(home) == 30)
    write_records(home, 5000)
    assert await process.drain() == 0
    assert count_usage(home) == 5030
    assert list(home.journal.iterdir()) == []
    assert not home.ledger_socket.exists()


async def test_what_a_dead_worker_had_under_way_is_priced(process: ChildProcess, home: Home) -> None:
    openai = ProviderSettings(base_url="http://127.0.0.1:9/v1", api_key="key", models=("gpt-4o-mini",))
    process.link.send(Reload(settings=Settings(log=LogSettings(format="json"), providers={"openai": openai})))
    process.link.send(Ping())
    assert await process.link.receive() == Pong()  # so it has heard what was said before
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    journal.intend(Intent("req_1", "key_1", "chat.completions", "gpt", "gpt-4o-mini", "openai", False, 1, 4_000_000))
    journal.close()
    await wait_for(lambda: count_usage(home) == 1)
    # A million tokens at 0.15 dollars.
    assert query(home, "SELECT outcome, cost_nano FROM usage") == [("worker_died", 150_000_000)]


async def test_a_lost_supervisor_ends_it_at_once(process: ChildProcess) -> None:
    process.link.close()
    async with asyncio.timeout(60):
        assert await process.process.wait() == 1


async def test_a_newer_ledger_is_reported(home: Home, start: Callable[[], Awaitable[ChildProcess]]) -> None:
    with closing(open_file(home.database)) as ledger:
        ledger.execute("PRAGMA user_version = 99")
    process = await start()
    message = await process.link.receive()
    assert isinstance(message, Failed)
    assert "made by a newer Weebill" in message.message
    assert await process.process.wait() == 1


async def test_a_newer_postgresql_database_is_reported(home: Home, postgres: str) -> None:
    settings = Settings(database=DatabaseSettings(url=postgres))
    with open_ledger(home, settings.database) as ledger:
        ledger.change(lambda connection: connection.exec_driver_sql("UPDATE ledger_revision SET version_num = '0099'"))
    async with ending(partial(ChildProcess.start, ROLE, home, settings=settings)) as start:
        process = await start()
        message = await process.link.receive()
        assert isinstance(message, Failed)
        assert "made by a newer Weebill" in message.message
        assert postgres not in message.message
        assert await process.process.wait() == 1


async def test_its_socket_is_private_and_replaces_a_stale_one(
    home: Home, start: Callable[[], Awaitable[ChildProcess]]
) -> None:
    with open_keys(home, SQLITE) as keys:
        created = keys.create("a")
    first = await (await start()).ready()
    async with following(home) as ring:
        await wait_for(lambda: ring.ready)
        assert await found(ring, created.secret) == created.key
        assert stat.S_IMODE(home.ledger_socket.stat().st_mode) == 0o600
        first.process.kill()
        await first.process.wait()
        with open_keys(home, SQLITE) as keys:
            later = keys.create("b")
        finding = asyncio.ensure_future(found(ring, later.secret))
        second = await (await start()).ready()
        assert await finding == later.key
        assert ring.known(created.secret.encode()) is not None
    assert await second.drain() == 0
    assert list(home.run.glob(".*")) == []


@pytest.mark.parametrize("gone", [False, True], ids=["there", "away meanwhile"])
async def test_what_changes_is_told(
    home: Home, start: Callable[[], Awaitable[ChildProcess]], process: ChildProcess, gone: bool
) -> None:
    with open_keys(home, SQLITE) as keys:
        created = keys.create("a")
        kept = keys.create("b")
        async with following(home) as ring:
            await wait_for(lambda: ring.ready)
            for each in (created, kept):
                assert await found(ring, each.secret) == each.key
            assert await ring.find(b"sk-wb-" + b"x" * 43) is None
            if gone:
                process.process.kill()
                await process.process.wait()
            keys.revoke(created.key.id)
            if gone:
                assert ring.known(created.secret.encode()) is not None  # it cannot know
                await (await start()).ready()
            await wait_for(lambda: ring.known(created.secret.encode()) is None)
            assert await ring.find(created.secret.encode()) is None
            assert ring.known(kept.secret.encode()) is not None


async def test_a_locked_ledger_keeps_nobody_from_an_answer(process: ChildProcess, home: Home) -> None:
    """Ingestion waits for whoever holds it, readers do not."""
    with open_keys(home, SQLITE) as keys:
        created = keys.create("a")
    with closing(sqlite3.connect(home.database, isolation_level=None)) as locker:
        locker.execute("BEGIN IMMEDIATE")
        write_records(home, 10)
        async with following(home) as ring:
            assert await found(ring, created.secret) == created.key
        assert count_usage(home) == 0
        locker.execute("ROLLBACK")
    await wait_for(lambda: count_usage(home) == 10)
