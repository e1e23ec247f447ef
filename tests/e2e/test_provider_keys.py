"""Keys of providers through a whole installation: who uses them, what they cost, and that nothing else has them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import httpx
import openai
import psutil

from tests.e2e.installation import COMMAND, Installation, installation
from tests.fixtures.projects import add_project
from tests.fixtures.upstream import Request, answer, complete, running_upstream, send
from weebill.config.paths import Home

OWN, CONFIGURED = "sk-own-key-of-the-project-7411", "sk-configured-key-2093"
CONFIG = """
[server]
workers = 2
[local]
models = []
[log]
level = "debug"
[providers.cloud]
base_url = "{url}"
api_key = "env:CLOUD_KEY"
models = ["far"]
"""


async def test_a_projects_key_is_used_by_all_workers_and_is_nowhere_else(tmp_path: Path) -> None:
    async with running_upstream() as cloud:
        async with AsyncExitStack() as stack:
            installed = installation(
                tmp_path / "home", tmp_path / "models", CONFIG.format(url=cloud.base_url), CLOUD_KEY=CONFIGURED
            )
            running = await asyncio.to_thread(installed.__enter__)
            stack.callback(installed.__exit__, None, None, None)
            secret = await asyncio.to_thread(add_project, Home(running.home), "one")
            manager = httpx.AsyncClient(
                base_url=f"{running.url}/api/v1/providers/cloud", headers={"authorization": f"Bearer {running.key}"},
                timeout=60, trust_env=False,
            )  # fmt: skip
            async with (
                manager,
                openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=secret, max_retries=0) as client,
            ):
                cloud.script = send(answer(401, json.dumps({"error": {"message": f"Incorrect key {OWN}"}}).encode()))
                refused = await manager.post("/keys", json={"key": OWN, "project_id": "proj_one"})
                assert (refused.status_code, refused.json()["error"]["code"]) == (422, "key_not_working"), refused.text
                assert OWN not in refused.text
                cloud.script = complete()
                made = await manager.post("/keys", json={"key": OWN, "project_id": "proj_one"})
                assert made.status_code == 201, made.text
                cloud.requests.clear()
                async with asyncio.timeout(60):
                    while {each.headers["authorization"] for each in cloud.requests} != {f"Bearer {OWN}"}:
                        cloud.requests.clear()
                        for _ in range(12):  # each on a connection of its own, so that both workers get some
                            async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=secret) as another:
                                await another.chat.completions.create(
                                    model="far", messages=[{"role": "user", "content": "hi"}]
                                )
                known_us = time.time_ns() // 1000
                for process in running.children("weebill.ledger"):
                    process.send_signal(signal.SIGKILL)
                await client.chat.completions.create(model="far", messages=[{"role": "user", "content": "hi"}])
                for process in running.children("weebill.gateway"):
                    process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(running.wait_until_ready)
                for _ in range(6):
                    async with openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=secret) as another:
                        await another.chat.completions.create(model="far", messages=[{"role": "user", "content": "hi"}])
                assert {each.headers["authorization"] for each in cloud.requests} == {f"Bearer {OWN}"}
                cloud.script = _refuse_own
                with suppress(openai.APIStatusError):
                    await client.chat.completions.create(model="far", messages=[{"role": "user", "content": "hi"}])
                await asyncio.to_thread(_until_refused, running)
                listed = await manager.get("/keys")
                assert listed.json()["data"][0]["status"] == "refused"
                metrics = await manager.get(f"{running.url}/metrics")
                said = [listed.text, metrics.text, *(await asyncio.to_thread(_said, running))]
            assert not [text for text in said if OWN in text]
            assert not [
                each for each in psutil.process_iter(["cmdline"]) if OWN in " ".join(each.info["cmdline"] or [])
            ]
        found = [path for path in tmp_path.rglob("*") if path.is_file() and OWN.encode() in path.read_bytes()]
        assert found == []
        with sqlite3.connect(tmp_path / "home" / "weebill.db") as ledger:
            found = "SELECT DISTINCT cost_nano FROM usage WHERE outcome = 'ok' AND started_at >= ?"
            costs = ledger.execute(found, (known_us,)).fetchall()
        assert costs == [(0,)]


async def _refuse_own(request: Request, writer: asyncio.StreamWriter) -> None:
    await send(answer(401, json.dumps({"error": {"message": f"Incorrect key {OWN}"}}).encode()))(request, writer)


def _until_refused(running: Installation) -> None:
    deadline = time.monotonic() + 60
    while "refused" not in running.weebill("providers", "key", "list"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _said(running: Installation) -> list[str]:
    """What commands say and write of it: exports and backups included."""
    backup = running.home.parent / "backup.db"
    outputs = [
        running.weebill(*command)
        for command in (
            ("providers", "key", "list", "--json"),
            ("config", "show"),
            ("db", "backup", str(backup)),
            ("db", "info", "--json"),
            ("secrets", "rotate"),
        )
    ]
    restored = subprocess.run(
        [*COMMAND, "db", "restore", str(backup)],
        env={**running.env, "WEEBILL_HOME": str(running.home.parent / "elsewhere")}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert "1 provider keys cannot be opened" in restored.stderr, restored.stderr
    assert os.stat(running.home / "master.key").st_mode & 0o777 == 0o600
    return [*outputs, restored.stdout, restored.stderr]
