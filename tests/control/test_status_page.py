"""The status page in a real browser, with its content security policy in force."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager

import msgspec
import pytest
import uvicorn
from browser import open_page, running_browser
from control_process import ENGINE

from tests.fixtures.databases import insert
from tests.fixtures.ledger import SQLITE, answering
from tests.fixtures.records import RECORD, write, write_records
from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.pepper import read_pepper
from weebill.config.paths import Home
from weebill.config.schema import ProviderSettings, Settings
from weebill.control.app import create_app
from weebill.control.overview import Overview
from weebill.control.process import Server
from weebill.ledger.ingestion import IngestThread
from weebill.process.messages import ProcessState
from weebill.process.questions import Questions
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger
from weebill.telemetry.counters import Counters
from weebill.usage.records import Outcome

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
UNLOCK = "document.getElementById('key').value = {}; document.getElementById('unlock').requestSubmit()"
HOSTILE = '<img src=x onerror="document.title=1">'

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[str]:
    assert CHROMIUM is not None
    with running_browser(CHROMIUM) as address:
        yield address


async def unchanged() -> None:
    """Nobody is told of other models."""


# What is known of costs, and how the page says it; then the sums of each model.
COSTS = [
    ("small", {"cost_nano": 1_234_567}, "$0.00123"),
    ("small", {"cost_nano": 0}, "$0"),
    ("large", {"cost_nano": 2_500_000_000, "cost_reported": True}, "$2.5 reported"),
    ("large", {"cost_nano": None}, "unknown"),
    ("new", {"cost_nano": None}, "unknown"),
]
SUMS = {"small": "$0.00123", "large": "$2.5 and 1 of unknown price", "new": "1 of unknown price"}


@asynccontextmanager
async def serve(home: Home) -> AsyncIterator[tuple[str, Overview]]:
    """The control over TCP: a browser does not speak to Unix sockets. Yields its origin."""
    hostile = ProviderSettings(base_url="http://127.0.0.1:9/v1", models=(HOSTILE,))
    overview = Overview(home, Settings(providers={"acme": hostile}))
    overview.engines = (ENGINE,)
    overview.processes = (
        ProcessState(name="worker-0", role="worker", pid=1, state="ready", restarts=3, started_at=1.0),
    )
    questions = Questions(home.ledger_socket)
    keys = KeyDirectory(read_pepper(home.pepper), questions.ask)
    answers = ExitStack()
    ledger = answers.enter_context(open_ledger(home, SQLITE))
    app = create_app(overview, keys, ledger, questions.ask, questions.ask, unchanged)
    answers.enter_context(answering(home))
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", overview
    finally:
        server.config.timeout_graceful_shutdown = 1
        server.should_exit = True
        await serving
        questions.close()
        answers.close()


async def test_the_page_says_what_is_known_of_costs(home: Home, admin: str, browser: str) -> None:
    with open_ledger(home, SQLITE) as ledger:
        records = [msgspec.structs.replace(RECORD, model_served=model, **cost) for model, cost, _ in COSTS]
        odd = msgspec.structs.replace(RECORD, model_served="small", prompt_tokens=2**40, started_at=-1)
        insert(ledger, [*records, odd])
    async with serve(home) as (origin, _), open_page(browser) as page:
        await page.call("Page.navigate", url=origin)
        await page.wait_for("document.querySelectorAll('#models button').length >= 3")
        await page.evaluate(UNLOCK.format(json.dumps(admin)))
        await page.wait_for("document.querySelectorAll('#recent tr').length === 6")
        cells = "[...document.querySelectorAll('{} tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
        odd_row, *rows = await page.evaluate(cells.format("#recent"))
        assert [row[6] for row in reversed(rows)] == [shown for _, _, shown in COSTS]
        assert odd_row[3].endswith("doubtful tokens, time")
        assert {row[0]: row[5] for row in await page.evaluate(cells.format("#summary"))} == SUMS
        assert page.complaints == []


async def test_the_page_shows_and_unlocks(home: Home, admin: str, browser: str) -> None:
    write_records(home, 3)
    counters = Counters(home.counters, 0)
    ingestion = IngestThread(home, SQLITE, 0.05)
    ingestion.start()
    async with serve(home) as (origin, overview), open_page(browser) as page:
        await page.call("Page.navigate", url=origin)
        await page.wait_for("document.querySelectorAll('#models button').length >= 3")
        text = await page.evaluate("document.body.innerText")
        assert f"{origin}/v1" in text
        assert "Ready" in text
        assert HOSTILE in text  # as text
        curl = await page.evaluate("document.getElementById('curl').textContent")
        assert f"curl {origin}/v1/chat/completions \\\n" in curl
        sent = json.loads(curl[curl.index("-d '") + 4 : -1])
        assert sent["model"] == "mini"
        assert await page.evaluate("document.getElementById('open').hidden")
        assert page.complaints == []

        # A wrong key opens nothing and is not kept.
        await page.evaluate(UNLOCK.format(json.dumps("sk-wb-wrong")))
        await page.wait_for("document.getElementById('error').innerText.includes('unknown or revoked')")
        assert await page.evaluate("sessionStorage.length") == 0

        await page.evaluate(UNLOCK.format(json.dumps(admin)))
        await page.wait_for("!document.getElementById('open').hidden")
        counters.requests.add(("chat.completions", "200"), 1234)  # since whenever; the ledger is what counts
        await page.wait_for("document.getElementById('total').innerText === '3'")
        await page.wait_for("document.querySelectorAll('#recent tr').length === 3")
        await page.wait_for("document.querySelector('#rate-line polyline') !== null")
        text = await page.evaluate("document.getElementById('open').innerText")
        assert "worker-0" in text
        assert "smollm2:135m" in text

        # What it shows keeps changing, and an engine that goes down shows as well.
        overview.engines = (msgspec.structs.replace(ENGINE, base_url=None),)
        await page.wait_for("document.querySelectorAll('#models .warn').length === 2")

        # The key stays in the tab: a reload needs no new one.
        await page.call("Page.reload")
        await page.wait_for("!document.getElementById('open').hidden")

        assert page.complaints == []

        # A revoked key locks the page by itself.
        with open_keys(home, SQLITE) as keys:
            keys.revoke("admin")
        await page.wait_for("document.getElementById('open').hidden")
        await page.wait_for("document.getElementById('error').innerText.includes('unknown or revoked')")
        assert await page.evaluate("sessionStorage.length") == 0
        assert await page.evaluate("document.title") == "Weebill"
    ingestion.finish(10)
    assert RECORD.model_served in text


CUT = """[...document.querySelectorAll('body *')].filter(
    (each) => each.scrollWidth > each.clientWidth + 1 && each.clientWidth
        && getComputedStyle(each).overflowX !== 'visible'
).map((each) => ({
    overflow: getComputedStyle(each).overflowX, tab: each.tabIndex,
    shadow: getComputedStyle(each).backgroundImage.split('gradient').length === 5,
}))"""
COLUMNS = """[...document.querySelectorAll('#summary tr')].map(
    (row) => [...row.children].slice(1, -1).map((cell) => Number(cell.innerText.replaceAll(',', ''))))"""
COUNTED = (
    "[...document.querySelectorAll('#sum td')].slice(1, -1).map((cell) => Number(cell.innerText.replaceAll(',', '')))"
)


async def test_what_is_shown_adds_up(home: Home, admin: str, browser: str) -> None:
    records = []
    for number in range(137):
        outcome: Outcome = "ok" if number % 9 else "rejected" if number % 2 else "timeout"
        name = f"model-{number % 12}" if number % 7 else ""  # more than there are rows; and what was never served
        records.append(msgspec.structs.replace(RECORD, request_id=f"req_{number}", model_served=name, outcome=outcome))
    write(home, records)
    Counters(home.counters, 0).requests.add(("chat.completions", "200"), 872)
    ingestion = IngestThread(home, SQLITE, 0.05)
    ingestion.start()
    async with serve(home) as (origin, _), open_page(browser) as page:
        await page.call("Page.navigate", url=origin)
        await page.wait_for("document.querySelectorAll('#models button').length >= 3")
        await page.evaluate(UNLOCK.format(json.dumps(admin)))
        await page.wait_for("document.getElementById('total').innerText.startsWith('137')")
        failed = sum(record.outcome != "ok" for record in records)
        assert (await page.evaluate("document.getElementById('total').innerText")).split() == [
            "137",
            str(failed),
            "failed",
        ]
        rows, sums = await page.evaluate(COLUMNS), await page.evaluate(COUNTED)
        assert len(rows) == 9
        assert sums == [137, failed, 1370, 411]
        assert [sum(column) for column in zip(*rows, strict=True)] == sums

        # What comes later is taken in, though the ledger is behind what the counters say.
        write(home, [msgspec.structs.replace(RECORD, request_id="req_last", model_served="model-1")])
        Counters(home.counters, 0).requests.add(("chat.completions", "200"), 1)
        await page.wait_for("document.getElementById('total').innerText.startsWith('138')")
    ingestion.finish(10)


@pytest.mark.parametrize("width", [390, pytest.param(768, marks=pytest.mark.slow), 1280])
async def test_nothing_overflows(home: Home, admin: str, browser: str, width: int) -> None:
    write(home, [msgspec.structs.replace(RECORD, model_served="a-model-with-a-name-that-is-as-long-as-they-come")])
    ingestion = IngestThread(home, SQLITE, 0.05)
    ingestion.start()
    async with serve(home) as (origin, _), open_page(browser) as page:
        await page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        await page.call("Page.navigate", url=origin)
        await page.wait_for("document.querySelectorAll('#models button').length >= 3")
        await page.evaluate(UNLOCK.format(json.dumps(admin)))
        await page.wait_for("document.querySelectorAll('#recent tr').length === 1")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        # What does not fit can be scrolled, by keyboard too, and is seen to go on; nothing is hidden or cut.
        for cut in await page.evaluate(CUT):
            assert cut == {"overflow": "auto", "tab": 0, "shadow": True}
        assert await page.evaluate("[...document.querySelectorAll('th, td')].every((cell) => cell.offsetWidth > 0)")
        assert await page.evaluate(
            "document.getElementById('base').scrollWidth <= document.getElementById('base').clientWidth"
        )
        if width == 390:
            assert await page.evaluate(f"{CUT}.length") > 0
    ingestion.finish(10)
