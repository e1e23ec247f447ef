import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from tests.fixtures import nursery
from tests.supervisor.fake_serve import CHILD
from weebill.config.paths import Home
from weebill.supervisor.commands import (
    ModelStatus,
    NotRunningError,
    ReloadRequest,
    ReloadResult,
    Request,
    Status,
    StatusRequest,
    ask,
)

T = TypeVar("T")
SERVE = "tests.supervisor.fake_serve"
# For tests of what forked processes do not have of their own: sockets, an environment, commands.
COMMANDS = pytest.mark.parametrize("installation", ["commands"], indirect=True)
DEADLINE_S = 60.0


def wait_for(condition: Callable[[], T], what: str) -> T:
    """What `condition` returns once it is truthy."""
    deadline = time.monotonic() + DEADLINE_S
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
    return result


class Installation:
    """A supervisor in a process of its own, with fake children: all of them forked, or started by commands."""

    def __init__(self, root: Path, *, forked: bool) -> None:
        self.home = Home(root)
        self.home.create()
        self.forked = forked
        self.process: subprocess.Popen[str] | nursery.Started | None = None
        self.seen_pids: set[int] = set()

    def configure(self, text: str) -> None:
        self.home.config_file.write_text(text)

    def behave(self, name: str, mode: str) -> None:
        folder = self.home.root / "behaviour"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(mode)

    def offer(self, *models: str) -> None:
        """Have files of further models, and no others."""
        folder = self.home.root / "offered"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        for model in models:
            (folder / model).write_bytes(b"")

    def ask(self, request: Request) -> Status:
        return ask(self.home, request, Status)

    def model(self, name: str) -> ModelStatus:
        return next(each for each in self.status().models if each.name == name)

    def until(self, name: str, state: str) -> ModelStatus:
        return wait_for(lambda: (found := self.model(name)).state == state and found, f"{name} to be {state}")

    def spawn(self, *models: str) -> subprocess.Popen[str] | nursery.Started:
        arguments = [str(self.home.root), *models]
        with (self.home.root / "log").open("ab") as log:
            if self.forked:
                return nursery.start(SERVE, arguments, {**os.environ}, log, shared=(CHILD,))
            command = [sys.executable, "-m", SERVE, *arguments]
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)

    def start(self, *models: str) -> dict:
        """Start, and wait for what is printed when all children have settled."""
        self.process = self.spawn(*models)
        line = self.process.stdout.readline()
        assert line, self.log()
        return json.loads(line)

    def status(self) -> Status:
        status = ask(self.home, StatusRequest(), Status)
        self.seen_pids.update(process.pid for process in status.processes if process.pid)
        return status

    def reload(self) -> ReloadResult:
        return ask(self.home, ReloadRequest(), ReloadResult)

    def child(self, name: str):
        return next(process for process in self.status().processes if process.name == name)

    def wait_until(self, name: str, state: str, not_pid: int | None = None):
        def there():
            child = self.child(name)
            return child.state == state and child.pid != not_pid and child

        return wait_for(there, f"{name} to be {state}")

    def events(self, what: str | None = None) -> list[dict]:
        path = self.home.root / "events"
        events = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [event for event in events if what in (None, event["event"])]

    def log(self) -> str:
        return (self.home.root / "log").read_text()

    def get(self) -> dict:
        with urllib.request.urlopen(self.status().origin, timeout=DEADLINE_S) as response:
            return json.load(response)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)

    def pids(self) -> set[int]:
        return self.seen_pids | {event["pid"] for event in self.events()}

    def close(self) -> None:
        if self.process is not None:
            with contextlib.suppress(NotRunningError):
                self.status()
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        for pid in filter(alive, self.pids()):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether one of our fake children still runs under this number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and CHILD in process.cmdline()
    except psutil.Error:
        return False
