"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One tab. `complaints` is what its control has said: errors, refused resources, exceptions."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._calls = 0
        self.complaints: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._calls += 1
        await self._socket.send(json.dumps({"id": self._calls, "method": method, "params": params}))
        while True:
            message = json.loads(await self._socket.recv())
            if message.get("id") == self._calls:
                assert "error" not in message, message
                return dict(message["result"])
            if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.complaints.append(json.dumps(message["params"]))

    async def evaluate(self, expression: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript condition holds; where it fails, the page is still loading."""
        attempt = f"(() => {{ try {{ return Boolean({condition}); }} catch {{ return false; }} }})()"
        try:
            async with asyncio.timeout(20):
                while not await self.evaluate(attempt):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {condition}\n{self.complaints}\n{text}") from None


@asynccontextmanager
async def open_page(chromium: str) -> AsyncIterator[Page]:
    """A blank tab of a browser with a profile of its own, which ends with the block."""
    with tempfile.TemporaryDirectory(prefix="weebill-test-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *(chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"),
            env=os.environ | {"TMPDIR": profile},  # or it leaves folders behind when it is killed
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(30):
                browser = await _devtools_url(process)
            async with connect(browser, max_size=None) as socket:
                root = Page(socket)
                target = (await root.call("Target.createTarget", url="about:blank"))["targetId"]
                address = re.sub(r"/devtools/browser/.*", f"/devtools/page/{target}", browser)
                async with connect(address, max_size=None) as tab:
                    page = Page(tab)
                    for domain in ("Log", "Runtime", "Page"):
                        await page.call(f"{domain}.enable")
                    yield page
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _devtools_url(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on " in line:
            return line.split()[-1].decode()
    raise AssertionError("Chromium ended before it could be driven")
