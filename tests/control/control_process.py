"""A control process, with the test in its supervisor's place."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable

import httpx
import msgspec

from weebill.config.paths import Home
from weebill.config.schema import MeteringSettings, Settings
from weebill.process.link import LINK_FD_VARIABLE, ChildLink
from weebill.process.messages import Boot, Drain, EngineState, Ready
from weebill.usage.journal import JournalWriter
from weebill.usage.records import UsageRecord

ENGINE = EngineState(model="smollm2:135m", api_key="engine-secret", base_url="http://127.0.0.1:1", context=8192)


class ControlProcess:
    """A control process, with the test in its supervisor's place."""

    def __init__(self, home: Home, link: ChildLink, process: asyncio.subprocess.Process) -> None:
        self.home = home
        self.link = link
        self.process = process

    @classmethod
    async def start(cls, home: Home) -> ControlProcess:
        link, theirs = ChildLink.pair()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "weebill.control"),
            pass_fds=[theirs.fileno()],
            env=os.environ | {LINK_FD_VARIABLE: str(theirs.fileno())},
            stderr=asyncio.subprocess.PIPE,
        )
        theirs.close()
        await link.connect()
        link.send(Boot(role="control", home=str(home.root), settings=Settings(), engines=(ENGINE,)))
        return cls(home, link, process)

    async def ready(self) -> ControlProcess:
        assert await self.link.receive() == Ready()
        return self

    def client(self, key: str = "") -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(self.home.control_socket)),
            base_url="http://weebill",
            headers={"authorization": f"Bearer {key}"} if key else {},
        )

    async def drain(self) -> int:
        self.link.send(Drain(grace_s=5.0))
        return await self.process.wait()

    async def log(self) -> str:
        """What it has logged; once it has ended."""
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


RECORD = UsageRecord(
    "req_1", "key_1", "chat/completions", "mini", "smollm2:135m", "local", True, 10, 4, 3, True, 200, "ok",
    1_763_000_000_000_000, 1500, 9000,
)  # fmt: skip


def write_records(home: Home, count: int) -> None:
    """What a worker would leave: records `req_0`, `req_1`, ..."""
    write(home, [msgspec.structs.replace(RECORD, request_id=f"req_{number}") for number in range(count)])


def write(home: Home, records: Iterable[UsageRecord]) -> None:
    """What a worker would leave."""
    journal = JournalWriter(home.journal, 0, MeteringSettings())
    for record in records:
        journal.append(record)
    journal.close()
