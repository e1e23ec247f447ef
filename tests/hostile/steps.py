"""A worker in this process, and how long each of its steps takes: by the processor's time, not by the clock's.

A step of the loop is what runs between two turns of it. Off the loop, a step is what cannot give way: one call of a
function in C.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Final
from unittest.mock import patch

import msgspec

from tests.fixtures.ledger import SQLITE, answering
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.gateway.worker import Worker
from weebill.process.link import LINK_FD_VARIABLE, ChildLink, Link
from weebill.process.messages import Boot, Drain
from weebill.storage.keys import open_keys

# What steps consist of: JSON is read, and other objects are made of its own and written.
_TURNS: Final = json.dumps([{"role": "user", "content": str(number)} for number in range(2_000)]).encode()
# The time of that on the processor that a moment is promised for, with nothing else to do.
_USUAL_S: Final = 0.0015


def slowness() -> float:
    """Returns the time of a fixed piece of work here and now, as a multiple of what it usually takes."""
    return median(_piece_of_work() for _ in range(3)) / _USUAL_S


def _piece_of_work() -> float:
    began = time.thread_time()
    turns = msgspec.json.decode(_TURNS)
    msgspec.json.encode([{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in turns])
    return time.thread_time() - began


@dataclass
class Steps:
    """The longest steps since the last `clear`, in seconds, and what took them."""

    on_loop: float = 0.0
    off_loop: float = 0.0
    culprits: dict[str, str] = field(default_factory=dict)

    def clear(self) -> None:
        self.on_loop = self.off_loop = 0.0
        self.culprits.clear()

    def took(self, seconds: float, what: object, *, on_loop: bool) -> None:
        if on_loop and seconds > self.on_loop:
            self.on_loop, self.culprits["loop"] = seconds, repr(what)[:300]
        elif not on_loop and seconds > self.off_loop:
            self.off_loop, self.culprits["off"] = seconds, repr(what)[:300]


@contextmanager
def measured(steps: Steps) -> Iterator[None]:
    """Measures the steps of this thread's loop, and of the threads that begin from now on."""
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run  # type: ignore[attr-defined]
    loop_thread = threading.get_ident()

    def timed(handle: asyncio.Handle) -> None:
        if threading.get_ident() != loop_thread:
            run(handle)
            return
        began = time.thread_time()
        run(handle)
        steps.took(time.thread_time() - began, handle, on_loop=True)

    calls = threading.local()

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if not threading.current_thread().name.startswith("off-loop"):
            sys.setprofile(None)
        elif event == "c_call":
            calls.began = time.thread_time()
        elif event == "c_return" and (began := getattr(calls, "began", None)) is not None:
            calls.began = None
            steps.took(time.thread_time() - began, argument, on_loop=False)

    asyncio.Handle._run = timed  # type: ignore[attr-defined]
    threading.setprofile(profile)
    # As a worker's main function does it.
    gc.collect()
    gc.freeze()
    thresholds = gc.get_threshold()
    gc.set_threshold(100_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        asyncio.Handle._run = run  # type: ignore[attr-defined]
        threading.setprofile(None)


@asynccontextmanager
async def worker_here(folder: Path, settings: Settings) -> AsyncIterator[tuple[int, str]]:
    """A worker on this very loop: its port, and an API key."""
    home = Home(folder)
    home.create()
    with open_keys(home, SQLITE) as keys:
        secret = keys.create("test").secret
    answers = ExitStack()
    answers.enter_context(answering(home))
    listener = socket.create_server(("127.0.0.1", 0))
    link, theirs = ChildLink.pair()
    await link.connect()
    worker = Worker(Boot(role="worker", home=str(folder), settings=settings), 0)
    with patch.dict(os.environ, {LINK_FD_VARIABLE: str(theirs.detach())}):
        end = Link.open()
    await end.connect()
    running = asyncio.create_task(worker.run(end, [listener]))
    try:
        yield listener.getsockname()[1], secret
    finally:
        link.send(Drain(grace_s=1.0))
        await running
        answers.close()
        link.close()
        end.close()
        listener.close()
