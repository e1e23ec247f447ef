"""Each process of an installation stands still once: it is replaced and reported, and `/readyz` says how things are."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.installation import Installation, installation

WAIT_S = 120.0


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, compact_model: Path) -> Iterator[Installation]:
    """An installation that nothing else uses: its processes are stopped."""
    with installation(tmp_path_factory.mktemp("watchdog") / "home", compact_model) as running:
        yield running


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def stop(running: Installation, module: str) -> psutil.Process:
    """Have the one process that runs a module stand still."""
    (process,) = running.children(module)
    os.kill(process.pid, signal.SIGSTOP)
    return process


def readiness(running: Installation) -> int | None:
    """The status of `/readyz`; None where nobody answers."""
    try:
        return httpx.get(f"{running.url}/readyz", timeout=1).status_code
    except httpx.TransportError:
        return None


def lines(running: Installation, name: str) -> list[str]:
    """What the log says of a process that is silent or dead."""
    log = (running.home / "serve.log").read_text().splitlines()
    return [line for line in log if f"{name}: " in line or f"{name} is down" in line]


def works(running: Installation) -> bool:
    """Whether the model answers and the control process tells of all, as a user sees it."""
    body = {"model": "mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    with httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {running.key}"}, timeout=60) as client:
        answered = client.post("/v1/chat/completions", json=body).status_code == 200
        return answered and client.get("/api/v1/usage").status_code == 200


@pytest.mark.parametrize(
    ("module", "name", "meanwhile"),
    [
        ("weebill.engine", "engine smollm2:135m", 503),
        ("weebill.gateway", "worker-0", None),
        ("weebill.console", "control", 200),
    ],
)
def test_one_that_stands_still_is_replaced_and_reported_in_one_line(
    alone: Installation, module: str, name: str, meanwhile: int | None
) -> None:
    before = stop(alone, module)
    wait_for(lambda: readiness(alone) == meanwhile, f"/readyz to be {meanwhile}")
    assert before.is_running()
    wait_for(lambda: not before.is_running(), "its end")
    wait_for(lambda: readiness(alone) == 200, "/readyz to be 200")
    wait_for(lambda: works(alone), "all to work")
    (line,) = lines(alone, name)
    assert "has not answered for 5 s" in line
