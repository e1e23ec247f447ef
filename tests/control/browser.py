"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
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
            async with asyncio.timeout(60):
                while not await self.evaluate(attempt):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            text = await self.evaluate("document.body.innerText")
            raise AssertionError(f"never true: {condition}\n{self.complaints}\n{text}") from None


@contextmanager
def running_browser(chromium: str) -> Iterator[str]:
    """Where a browser with a profile of its own is driven; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="weebill-test-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            env=os.environ | {"TMPDIR": profile},  # or it leaves folders behind when it is killed
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            yield _devtools_url(process)
        finally:
            process.kill()
            process.wait()


@asynccontextmanager
async def open_page(browser: str) -> AsyncIterator[Page]:
    """A blank tab that knows nothing of others, as one of a new profile; it is closed with the block."""
    async with connect(browser, max_size=None) as socket:
        root = Page(socket)
        context = (await root.call("Target.createBrowserContext"))["browserContextId"]
        target = (await root.call("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        address = re.sub(r"/devtools/browser/.*", f"/devtools/page/{target}", browser)
        async with connect(address, max_size=None) as tab:
            page = Page(tab)
            for domain in ("Log", "Runtime", "Page"):
                await page.call(f"{domain}.enable")
            yield page
        await root.call("Target.disposeBrowserContext", browserContextId=context)


def _devtools_url(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if b"DevTools listening on " in line:
            # What else it says is nobody's business, and must not fill the pipe.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return line.split()[-1].decode()
    raise AssertionError("Chromium ended before it could be driven")
