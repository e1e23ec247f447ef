"""A real `weebill serve` under load whose ledger is put back, moved away and emptied: nothing is lost, all is said."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.e2e.installation import Installation, installation
from tests.fixtures.upstream import running_upstream

CLIENTS = 4
PAUSE_S = 0.15  # between two requests of each
BODY = {"model": "paced", "messages": [{"role": "user", "content": "Hi"}]}
CONFIG = """
    [server]
    workers = 2
    [local]
    models = []
    [providers.loopback]
    base_url = "{base_url}"
    models = ["paced"]
"""


@dataclass
class Seen:
    """Requests that were answered, and when."""

    answered: list[tuple[str, float]] = field(default_factory=list)
    other: Counter[int] = field(default_factory=Counter)


@dataclass
class Ledgers:
    """The ledger of a running installation, and what has become of those before it."""

    running: Installation
    folder: Path
    went: list[Path] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.running.home / "weebill.db"

    def backup(self) -> Path:
        copy = self.running.home / "copy.db"
        opened = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        with closing(opened) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return copy

    def keep(self) -> Path:
        """A further name for the file that goes."""
        kept = self.folder / f"went-{len(self.went)}.db"
        self.went.append(kept)
        return kept

    async def replaced(self) -> None:
        copy = self.backup()
        os.link(self.path, self.keep())
        copy.replace(self.path)

    async def moved_and_restored(self) -> None:
        copy = self.backup()
        self.path.rename(self.keep())
        await asyncio.sleep(1.5)
        copy.rename(self.path)

    async def moved_away_and_back(self) -> None:
        away = self.path.rename(self.running.home / "away.db")
        await asyncio.sleep(1.5)
        away.rename(self.path)

    async def emptied_and_restored(self) -> None:
        os.truncate(self.path, 0)
        await asyncio.sleep(1.5)
        assert self.path.stat().st_size == 0
        shutil.copyfile(self.folder / "early.db", self.running.home / "copy.db")
        (self.running.home / "copy.db").replace(self.path)


async def load(running: Installation, seen: Seen, until: asyncio.Event) -> None:
    headers = {"authorization": f"Bearer {running.key}"}
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=30, trust_env=False) as client:

        async def one() -> None:
            while not until.is_set():
                response = await client.post("/v1/chat/completions", json=BODY)
                if response.status_code == 200:
                    seen.answered.append((response.headers["x-request-id"], time.monotonic()))
                else:
                    seen.other[response.status_code] += 1
                await asyncio.sleep(PAUSE_S)

        await asyncio.gather(*(one() for _ in range(CLIENTS)))


def rows(path: Path) -> Counter[str]:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return Counter(request_id for (request_id,) in connection.execute("SELECT request_id FROM usage"))


async def eventually(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def works(running: Installation, key: str) -> bool:
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=30, trust_env=False) as client:
        return (await client.post("/v1/chat/completions", json=BODY)).status_code == 200


@pytest.mark.timeout(300)
async def test_nothing_is_lost_and_all_is_said(tmp_path: Path) -> None:
    seen, until = Seen(), asyncio.Event()
    async with running_upstream() as upstream:
        config = CONFIG.format(base_url=upstream.base_url)
        with installation(tmp_path / "home", tmp_path / "none", config) as running:
            ledgers = Ledgers(running, tmp_path)
            shutil.copyfile(ledgers.backup(), tmp_path / "early.db")
            loading = asyncio.create_task(load(running, seen, until))
            for change in (ledgers.replaced, ledgers.moved_and_restored, ledgers.replaced, ledgers.moved_away_and_back):
                await asyncio.sleep(1)
                await change()
                # At once, before anybody can have noticed.
                made = await asyncio.to_thread(running.weebill, "keys", "create", "late", "--quiet")
                async with asyncio.timeout(30):
                    while not await works(running, made.strip()):
                        await asyncio.sleep(0.05)
                await asyncio.to_thread(running.weebill, "keys", "revoke", "late")
                async with asyncio.timeout(30):
                    while await works(running, made.strip()):
                        await asyncio.sleep(0.05)
                # By now all have noticed, and the next change is another one to them.
                newest, _ = seen.answered[-1]
                await eventually(lambda newest=newest: newest in rows(ledgers.path))
            before_emptied = time.monotonic()
            await asyncio.sleep(1)
            shutil.copyfile(ledgers.backup(), ledgers.keep())
            emptied = time.monotonic()
            await ledgers.emptied_and_restored()
            await asyncio.sleep(2)
            until.set()
            await loading
            assert running.stop() == 0
            log = (running.home / "serve.log").read_text()
        found = {path.name: rows(path) for path in (ledgers.path, *ledgers.went)}

    print({name: counts.total() for name, counts in found.items()}, len(seen.answered), dict(seen.other))
    assert {count for counts in found.values() for count in counts.values()} == {1}
    everywhere = set().union(*found.values())
    # What was in the emptied file alone, since the last copy, is gone with it.
    lost = [at for request_id, at in seen.answered if request_id not in everywhere]
    assert all(before_emptied < at < emptied + 1 for at in lost), (before_emptied, emptied, lost)
    assert {request_id for request_id, at in seen.answered if at > emptied + 1} <= set(found["weebill.db"])
    assert seen.other.total() == 0
    assert log.count("was replaced; usage goes into") + log.count("usage is ingested again") >= 4
    assert "is missing, and there was one" in log
    assert "is empty, and there was one" in log
