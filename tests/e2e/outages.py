"""A real `weebill serve` under a steady load of keys with limits and credits, whose ledger is out of order at times."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.installation import Installation, installation
from tests.fixtures.databases import rows
from tests.fixtures.upstream import Request, Upstream, answer, completion, running_upstream
from weebill.billing.credits import Origin
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.limits.setting import Limits
from weebill.storage.credit_checks import verify as verify_credits
from weebill.storage.credit_stops import set_stop
from weebill.storage.credits import credits_in
from weebill.storage.keys import keys_in
from weebill.storage.limits import StoredLimits
from weebill.storage.opening import open_ledger

CHAT: Final = "/v1/chat/completions"
BODY: Final = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}
CLIENTS: Final = 6
PAUSE_S: Final = 0.03
WORKERS: Final = 2
SMALL: Final = 40
SLOW_S: Final = 3.0
GRANTED: Final = 10**9
_WITHIN_S: Final = 60.0


@dataclass
class Setting:
    """The keys' secrets by name, and the ids of limits by key."""

    keys: dict[str, str] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)


def provided(home: Home, database: DatabaseSettings) -> Setting:
    """Keys with limits, and an organisation with credits and a hard stop."""
    made = Setting()
    with open_ledger(home, database) as ledger:
        keys = keys_in(ledger, home)
        for name, role in (("admin", "admin"), ("steady", "user"), ("small", "user"), ("unmet", "user")):
            made.keys[name] = keys.create(name, "admin" if role == "admin" else "user").secret
        limits = Limits(StoredLimits(ledger))
        made.limits["steady"] = limits.set("steady", "requests", "day", 10**6).id
        limits.set("steady", "spend", "month", GRANTED)
        made.limits["small"] = limits.set("small", "requests", "day", SMALL).id
        credits_in(ledger).grant("org_default", GRANTED, Origin("grant"))
        ledger.change(lambda connection: set_stop(connection, "org_default", hard=True))
    return made


@dataclass
class Load:
    """What clients of the key `steady` saw."""

    client: httpx.AsyncClient
    statuses: Counter[int] = field(default_factory=Counter)
    answered: list[str] = field(default_factory=list)

    async def one(self, until: asyncio.Event) -> None:
        while not until.is_set():
            # On a connection of its own, so that each worker has some all the time.
            response = await self.client.post(CHAT, json=BODY, headers={"connection": "close"})
            self.statuses[response.status_code] += 1
            if response.status_code == 200:
                self.answered.append(response.headers["x-request-id"])
            await asyncio.sleep(PAUSE_S)


@dataclass
class Running:
    """An installation under load; `small` are the statuses of answers to the key of that name."""

    installation: Installation
    database: DatabaseSettings
    setting: Setting
    upstream: Upstream
    load: Load
    small: Counter[int] = field(default_factory=Counter)

    async def ask(self, key: str, path: str = CHAT, body: object = BODY) -> httpx.Response:
        return await self.load.client.post(path, json=body, headers=self._as(key))

    async def manage(self, path: str = "/api/v1/keys") -> httpx.Response:
        return await self.load.client.get(path, headers=self._as("admin"))

    async def models(self, key: str) -> httpx.Response:
        return await self.load.client.get("/v1/models", headers=self._as(key))

    async def make_key(self, name: str) -> httpx.Response:
        return await self.load.client.post("/api/v1/keys", json={"name": name}, headers=self._as("admin"))

    def _as(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.setting.keys[key]}"}


async def _answer(request: Request, writer: asyncio.StreamWriter) -> None:
    body = completion()
    if request.path.endswith("/responses"):
        body = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "up",
                "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                            "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]}],
                "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}  # fmt: skip
    writer.write(answer(200, json.dumps(body).encode()))


@asynccontextmanager
async def under_load(folder: Path, database: DatabaseSettings, config: str = "") -> AsyncIterator[Running]:
    """An installation with two workers whose keys `steady` and `small` each worker has met; the load is on."""
    home = Home(folder / "home")
    url = "" if database.url is None else f'[database]\nurl = "{database.url}"\n'
    async with running_upstream() as upstream:
        upstream.script = _answer
        text = f"""
{url}
[server]
workers = {WORKERS}
loop_lag_step_s = 0.01
[local]
models = []
[metering]
ingest_interval_s = 0.2
[credits]
settle_interval_s = 1
[providers.loopback]
base_url = "{upstream.base_url}"
catalog = "openai"
models = ["gpt-4o-mini"]
{config}
"""
        with installation(home.root, folder / "models", text) as running:
            setting = await asyncio.to_thread(provided, home, database)
            headers = {"authorization": f"Bearer {setting.keys['steady']}"}
            limits = httpx.Limits(max_connections=64)
            async with httpx.AsyncClient(
                base_url=running.url, headers=headers, timeout=30, limits=limits, trust_env=False, verify=False
            ) as client:
                found = Running(running, database, setting, upstream, Load(client))
                over = asyncio.Event()
                loading = [asyncio.create_task(found.load.one(over)) for _ in range(CLIENTS)]
                try:
                    yield found
                finally:
                    over.set()
                    await asyncio.gather(*loading)


async def eventually(holds: Callable[[], Awaitable[object]], what: str) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while not await holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.1)


async def answered(running: Running, key: str) -> None:
    """Wait until a request of a key is."""

    async def works() -> bool:
        return (await running.ask(key)).status_code == 200

    await eventually(works, f"an answer to {key}")


async def managed(running: Running) -> None:
    """Wait until the management API can read the ledger."""

    async def works() -> bool:
        return (await running.manage()).status_code == 200

    await eventually(works, "the management API")


async def used_up(running: Running) -> None:
    """Use up what the workers hold of the limit of `small`: then nobody can know whether there is more."""
    gemini = {"contents": [{"parts": [{"text": "Hi"}]}]}
    for path, body, code in (
        (CHAT, BODY, lambda error: error["error"]["code"] == "ledger_unavailable"),
        ("/v1/messages", BODY, lambda error: error["type"] == "error"),
        ("/v1beta/models/gpt-4o-mini:generateContent", gemini, lambda error: error["error"]["status"] == "UNAVAILABLE"),
    ):
        refused = 0
        while refused < 2 * WORKERS:
            response = await running.ask("small", path, body)
            running.small[response.status_code] += response.status_code == 200
            if response.status_code != 200:
                refused += 1
                assert (response.status_code, response.headers["retry-after"]) == (503, "1"), response.text
                assert code(response.json())


def assert_unavailable(response: httpx.Response, code: str) -> None:
    assert response.status_code == 503, response.text
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"]["code"] == code


async def assert_serves_on(running: Running) -> None:
    """Workers are well, and say so."""
    client = running.load.client
    health, ready = await asyncio.gather(client.get("/healthz"), client.get("/readyz"))
    assert (health.status_code, ready.status_code) == (200, 200)
    assert ready.json()["keys"] is True


async def assert_all_is_accounted_for(running: Running) -> None:
    """Nothing is lost, doubled or overspent."""

    def check() -> bool:
        with open_ledger(Home(running.installation.home), running.database) as ledger:
            [(called,)] = rows(ledger, "SELECT count(*) FROM usage WHERE upstream <> ''")
            if called < len(running.upstream.requests):
                return False
            counts = dict(rows(ledger, "SELECT request_id, count(*) FROM usage GROUP BY 1"))
            assert called == len(running.upstream.requests)
            assert set(counts.values()) == {1}
            assert set(running.load.answered) <= set(counts)
            limits = Limits(StoredLimits(ledger))
            for key, limit in running.setting.limits.items():
                state = limits.show(limit)
                [(requests,)] = rows(
                    ledger,
                    "SELECT count(*) FROM usage JOIN api_keys ON api_keys.id = key_id "
                    f"WHERE name = '{key}' AND upstream <> ''",
                )
                assert state.used == requests <= state.limit.amount, key
            assert not ledger.read(verify_credits).problems
        return True

    async def checked() -> bool:
        return await asyncio.to_thread(check)

    await eventually(checked, "the last record")


async def assert_no_loop_stood_still(running: Running) -> None:
    """No worker's loop has for as long as the ledger took for one question: it would, if it waited for an answer.

    How long loops stand still is measured by `python -m bench outage`, on a machine that does nothing else.
    """
    metrics = (await running.load.client.get("/metrics")).text
    stalls = {
        sample.labels["worker"]: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "weebill_loop_lag_longest_microseconds" and sample.labels["part"] == "own"
    }
    assert len(stalls) == WORKERS
    assert max(stalls.values()) < SLOW_S * 1e6, stalls
