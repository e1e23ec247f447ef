"""A worker that cannot start says why."""

import asyncio
import os
import sys
from pathlib import Path

from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.gateway.role import WorkerBoot
from weebill.process.link import LINK_FD_VARIABLE, ChildLink
from weebill.process.messages import Boot, Failed, own


async def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    home.pepper.write_bytes(b"short")
    link, theirs = ChildLink.pair()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "weebill.gateway",
        env={**os.environ, LINK_FD_VARIABLE: str(theirs.fileno())},
        pass_fds=(theirs.fileno(),),
    )  # fmt: skip
    theirs.close()
    try:
        await link.connect()
        link.send(Boot(role="worker", home=str(home.root), settings=Settings(), own=own(WorkerBoot())))
        async with asyncio.timeout(60):
            said = await link.receive()
            assert await process.wait() == 1
    finally:
        link.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert isinstance(said, Failed)
    assert "restore it from a backup" in said.message
