"""Work on the model folder in processes of its own: how it ends, and how much there is at once."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from weebill.control import store_work
from weebill.control.store_work import StoreWork, WorkError
from weebill.models.jobs import Delete, Pull, Step
from weebill.wire.errors import ApiError


class Silent(http.server.BaseHTTPRequestHandler):
    """Begins to send a file, and sends no more of it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "100000")
        self.end_headers()
        self.wfile.write(b"GGUF")
        self.wfile.flush()
        self.server.until.wait(60)  # type: ignore[attr-defined]

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def slow() -> Iterator[Pull]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        server.until = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Pull(name=f"http://127.0.0.1:{server.server_port}/a.gguf")
        server.until.set()  # type: ignore[attr-defined]
        server.shutdown()


async def drained(steps: AsyncIterator[Step]) -> None:
    async for _ in steps:
        pass


def workers() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "weebill.models.work" in each.cmdline()]


async def test_who_leaves_ends_the_work(tmp_path: Path, slow: Pull) -> None:
    work = StoreWork()
    async with aclosing(work.run(tmp_path, slow)) as steps:
        assert (await anext(steps)).status == "pulling manifest"
        assert len(workers()) == 1
    assert not workers()


async def test_there_is_a_bound_and_what_ends_makes_room(
    tmp_path: Path, slow: Pull, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_work, "_MOST_AT_ONCE", 1)
    work = StoreWork()
    async with aclosing(work.run(tmp_path, slow)) as steps:
        await anext(steps)
        with pytest.raises(ApiError, match="1 models are being pulled"):
            await anext(work.run(tmp_path, Delete(name="none:1")))
    with pytest.raises(WorkError, match="none:1"):
        await anext(work.run(tmp_path, Delete(name="none:1")))


async def test_a_worker_that_dies_is_a_failure(tmp_path: Path, slow: Pull) -> None:
    work = StoreWork()
    async with aclosing(work.run(tmp_path, slow)) as steps:
        await anext(steps)
        workers()[0].kill()
        with pytest.raises(WorkError, match="broke off"):
            await asyncio.wait_for(drained(steps), 30)
