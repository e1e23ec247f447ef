"""The pages for signing in, in a real browser: without JavaScript, light and dark, narrow and wide."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyotp
import pytest
from browser import Page, open_page, running_browser
from msgspec import structs
from test_status_page import serve

from tests.fixtures.ledger import SQLITE
from weebill.accounts.audit import command_line
from weebill.accounts.people import People
from weebill.config.accounts import AccountSettings
from weebill.config.paths import Home
from weebill.storage.sign_in import open_sign_ins

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PASSWORD = "violet kettle marsh"
PICTURES = os.environ.get("WEEBILL_TEST_PICTURES", "")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[str]:
    assert CHROMIUM is not None
    with running_browser(CHROMIUM) as address:
        yield address


async def fill(page: Page, action: str, **fields: str) -> None:
    """Type into the form that is sent to `action`, and press its button."""
    for name, value in fields.items():
        place = json.dumps(f"form[action='{action}'] [name='{name}']")
        await page.evaluate(f"document.querySelector({place}).value = {json.dumps(value)}")
    button = json.dumps(f"form[action='{action}'] button")
    await page.evaluate(f"document.querySelector({button}).click()")


async def look(page: Page, name: str) -> None:
    """Check that nothing overflows, whatever the width and the colours; keep a picture if asked to."""
    for width in (390, 1280):
        for scheme in ("light", "dark"):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
            await page.call("Emulation.setDeviceMetricsOverride", **size)
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            await page.call("Emulation.setEmulatedMedia", features=features)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            if PICTURES:
                shot = await page.call("Page.captureScreenshot", format="png")
                (Path(PICTURES) / f"{name}-{width}-{scheme}.png").write_bytes(b64decode(shot["data"]))


async def at(page: Page, path: str) -> None:
    await page.wait_for(f"location.pathname === {json.dumps(path)} && document.readyState === 'complete'")


async def test_people_sign_in_without_javascript(home: Home, admin: str, browser: str) -> None:
    with open_sign_ins(home, SQLITE) as sign_ins:
        invitation = People(sign_ins).invite("org_default", "ada@example.com", "owner", command_line()).token
    async with serve(home) as (origin, overview), open_page(browser) as page:
        accounts = AccountSettings(sign_up="invitation", origin=origin)
        overview.settings = structs.replace(overview.settings, accounts=accounts)
        await page.call("Emulation.setScriptExecutionDisabled", value=True)
        await page.call("Page.navigate", url=f"{origin}/join?token={invitation}")
        await page.wait_for("document.querySelector('form')")
        await look(page, "join")
        await fill(page, "/join", name="Ada", password=PASSWORD)
        await at(page, "/")
        await page.call("Page.navigate", url=f"{origin}/account")
        await page.wait_for("document.body.innerText.includes('ada@example.com')")
        await look(page, "account")

        # One-time codes.
        await fill(page, "/account/codes", password=PASSWORD)
        await page.wait_for("document.querySelector('code')")
        await look(page, "codes")
        secret = (await page.evaluate("document.querySelector('code').innerText")).replace(" ", "")
        totp = pyotp.TOTP(secret)
        await fill(page, "/account/codes/confirm", code=totp.now())
        await page.wait_for("document.querySelectorAll('.codes li').length === 10")
        await look(page, "recovery")
        recovery = await page.evaluate("document.querySelector('.codes li').innerText")

        # Out, and in again.
        await page.call("Page.navigate", url=f"{origin}/account")
        await page.wait_for("document.querySelector(\"form[action='/account/sign-out']\")")
        await fill(page, "/account/sign-out")
        await at(page, "/")
        await page.call("Page.navigate", url=f"{origin}/account")
        await at(page, "/sign-in")
        await fill(page, "/sign-in", email="ada@example.com", password="not this one at all")
        await page.wait_for("document.querySelector('[role=alert]')")
        await look(page, "refused")
        await fill(page, "/sign-in", email="ada@example.com", password=PASSWORD, code=recovery)
        await at(page, "/account")
        assert "password and recovery code" in await page.evaluate("document.body.innerText")
        cookies = (await page.call("Network.getCookies"))["cookies"]
        (session,) = [each for each in cookies if "form" not in each["name"]]
        assert (session["httpOnly"], session["sameSite"]) == (True, "Lax")
        assert await page.evaluate("document.cookie") == ""
        # What a page's policy forbids would be here; a refused sign-in is a 401.
        assert [each for each in page.complaints if "401" not in each and "Clear-Site-Data" not in each] == []


async def test_the_status_page_says_who_has_signed_in(home: Home, admin: str, browser: str) -> None:
    with open_sign_ins(home, SQLITE) as sign_ins:
        token = People(sign_ins).link(None, command_line()).token
    async with serve(home) as (origin, _), open_page(browser) as page:
        await page.call("Page.navigate", url=origin)
        await page.wait_for("document.getElementById('who').innerText === 'Sign in'")
        assert await page.evaluate("document.getElementById('open').hidden")
        await look(page, "status-nobody")
        await page.call("Page.navigate", url=f"{origin}/?token={token}")
        await page.wait_for("document.getElementById('who').innerText === 'owner@localhost'")
        assert await page.evaluate("location.search") == ""  # the token is not in the history
        await page.wait_for("!document.getElementById('open').hidden")  # without a key
        await page.wait_for("document.getElementById('feed').innerText === 'Live'")
        await look(page, "status-owner")
        assert await page.evaluate("sessionStorage.length") == 0
        # A page of another site cannot read the feed, though browsers send it the cookies of all ports.
        async with elsewhere() as other:
            await page.call("Page.navigate", url=other)
            await page.wait_for("document.body.innerText === 'elsewhere'")
            feed = json.dumps(f"{origin.replace('http', 'ws')}/api/v1/live")
            refused = await page.evaluate(
                f"new Promise((done) => {{ const feed = new WebSocket({feed}); feed.onmessage = () => done('told');"
                ' feed.onopen = () => feed.send(\'{"api_key": ""}\'); feed.onclose = (event) => done(event.code); })'
            )
            assert refused == 4403


@asynccontextmanager
async def elsewhere() -> AsyncIterator[str]:
    """A page of another site on this machine."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<body>elsewhere</body>")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
