"""An engine host started as the supervisor starts it, and its end of the link."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import msgspec
import pytest

from tests.fixtures.model import MODEL
from weebill.config.schema import EngineSettings, LocalSettings, Settings
from weebill.engine.role import EngineBoot, EngineReady
from weebill.models.sharing import SharedModel
from weebill.models.store import ServedModel
from weebill.process.messages import Boot, Failed, FromChild, Message, Pong, Ready, own

KEY = "engine-test-key"
KINDS = (
    "llama.cpp",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("openvino_genai") is None, reason="`pip install 'weebill[openvino]'` is missing"
        ),
    ),
)
"""The engines that write answers, those that are not installed skipped."""
START_S = 90.0
EXIT_S = 60.0


@dataclass
class Host:
    """A host process; `link` is the supervisor's end."""

    process: subprocess.Popen[bytes]
    link: socket.socket
    log: Path

    @classmethod
    def start(cls, log: Path) -> Self:
        """A host that waits for its first message."""
        ours, theirs = socket.socketpair()
        ours.settimeout(START_S)
        with theirs, log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "weebill.engine"],
                env=os.environ | {"WEEBILL_LINK_FD": str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
                stderr=output,
            )
        return cls(process, ours, log)

    def send(self, message: Message) -> None:
        self.link.sendall(msgspec.json.encode(message) + b"\n")

    def boot(self, model: ServedModel, name: str = MODEL, **engine: int | str) -> None:
        local = LocalSettings(models=(name,), engine=msgspec.convert(engine, EngineSettings))
        self.send(
            Boot(
                role="engine",
                home="/",
                settings=Settings(local=local),
                own=own(EngineBoot.of(name, SharedModel({name: model}), local.engine, KEY)),
            )
        )

    def receive(self) -> Ready | Failed | Pong | None:
        """Its next message, or None if it has closed the link."""
        with self.link.makefile("rb") as lines:
            line = lines.readline()
        return msgspec.json.decode(line, type=FromChild) if line else None

    def ready(self) -> EngineReady:
        message = self.receive()
        assert isinstance(message, Ready), (message, self.log.read_text())
        return msgspec.json.decode(message.own, type=EngineReady)

    def exit_code(self) -> int:
        return self.process.wait(EXIT_S)


@contextmanager
def host(tmp_path: Path) -> Iterator[Host]:
    """A started host, gone afterwards."""
    running = Host.start(tmp_path / "engine.log")
    try:
        yield running
    finally:
        running.link.close()
        running.process.kill()
        running.process.wait()


def client(base_url: str) -> httpx.Client:
    """A client of a ready host, with a connection for each request: the host closes idle ones when it likes."""
    fresh = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(base_url=base_url, headers={"authorization": f"Bearer {KEY}"}, timeout=280, limits=fresh)
