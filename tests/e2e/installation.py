"""A whole installation: `weebill serve` in a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.cli import nursery as commands
from tests.fixtures import forked_weebill, nursery
from tests.fixtures.ledger import SQLITE
from tests.fixtures.ports import free_port
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.keys import open_keys
from weebill.supervisor.commands import Status, StatusRequest, ask

START_S = 180.0
STOP_S = 180.0
COMMAND_S = 180.0
COMMAND = [sys.executable, "-m", "weebill"]


@dataclass
class Installation:
    """A running `weebill serve`."""

    home: Path
    port: int
    key: str
    process: subprocess.Popen[bytes] | nursery.Started
    env: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def weebill(self, *arguments: str) -> str:
        """What a `weebill` command prints. Raises CalledProcessError."""
        if isinstance(self.process, nursery.Started):
            done = commands.weebill(arguments, "", self.env, COMMAND_S)
        else:
            done = subprocess.run(
                [*COMMAND, *arguments], env=self.env, capture_output=True, text=True, timeout=COMMAND_S
            )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
        return done.stdout

    def ready(self) -> dict[str, bool]:
        """For each model, whether it can be called; empty while nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=20) as response:
                models: dict[str, bool] = json.load(response)["models"]
                return models
        except OSError:
            return {}

    def wait_until_ready(self, within_s: float = START_S) -> None:
        """Wait until every model can be called."""
        deadline = time.monotonic() + within_s
        while not (models := self.ready()) or not all(models.values()):
            assert self.process.poll() is None, f"weebill serve ended with {self.process.returncode}"
            assert time.monotonic() < deadline, f"not ready after {within_s} s: {models}"
            time.sleep(0.05)

    def children(self, module: str) -> list[psutil.Process]:
        """The processes that run `python -m MODULE` under the supervisor."""
        started = [each.pid for each in ask(Home(self.home), StatusRequest(), Status).processes if each.pid]
        found = {}
        for pid in (self.process.pid, *started):  # what was forked for it is not below it
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                found |= {each.pid: each for each in (process, *process.children(recursive=True))}
        return [each for each in found.values() if _runs(each, module)]

    def stop(self) -> int:
        """Drain and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


def _runs(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.Error:
        return False


@contextmanager
def installation(
    home: Path,
    models_dir: Path,
    config: str = "",
    *,
    forked: bool = True,
    database: DatabaseSettings = SQLITE,
    **environment: str,
) -> Iterator[Installation]:
    """Start one and stop it at the end; `config` is the text of its `weebill.toml`, which says where the ledger is.

    It is `forked`, as are its children but for the engine hosts, and its commands; or all are started as a user does.
    """
    Home(home).create()
    (home / "weebill.toml").write_text(config)
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("WEEBILL_")}
    env |= {"WEEBILL_HOME": str(home), "WEEBILL_PORT": str(port), "WEEBILL_LOCAL_MODELS_DIR": str(models_dir)}
    env |= environment
    with open_keys(Home(home), database) as keys:
        key = keys.create("e2e", "admin").secret
    with (home / "serve.log").open("wb") as log:
        if forked:
            process = forked_weebill.start(["serve"], env, log, log)
        else:
            process = subprocess.Popen([*COMMAND, "serve"], env=env, stdout=log, stderr=log)
    running = Installation(home, port, key, process, env)
    try:
        running.wait_until_ready()
        yield running
    except BaseException:
        print((home / "serve.log").read_text()[-20_000:])
        raise
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
