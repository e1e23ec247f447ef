"""Each process of an installation stands still once, and loops once: it is replaced, reported, and `/readyz` tells."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.installation import Installation, installation
from tests.fixtures import threads

WAIT_S = 120.0
CONTROL, ENGINE, WORKER = "weebill.control", "weebill.engine", "weebill.gateway"
# Longer than it takes to doubt a child, as `/readyz` tells of that before the child is ended.
# A computation without helpers: the thread that works is the one that has the loop.
CONFIG = "[server]\nwatchdog_s = 3\n[local.engine]\nthreads = 1\n"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """Where a service manager listens, and what it hears."""
    address = str(tmp_path_factory.mktemp("notify") / "socket")
    heard: list[str] = []

    def listen() -> None:
        while datagram := listener.recv(4096):
            heard.extend(datagram.decode().splitlines())

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        thread = threading.Thread(target=listen)
        thread.start()
        yield address, heard
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.sendto(b"", address)
        thread.join()


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, compact_model: Path, told: tuple[str, list[str]]
) -> Iterator[Installation]:
    """An installation that nothing else uses: its processes are stopped."""
    home = tmp_path_factory.mktemp("watchdog") / "home"
    with installation(home, compact_model, CONFIG, forked=False, NOTIFY_SOCKET=told[0]) as running:
        yield running


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.2)


def stand_still(running: Installation, module: str) -> psutil.Process:
    """Have the one process that runs a module stand still, all of it."""
    (process,) = running.children(module)
    os.kill(process.pid, signal.SIGSTOP)
    return process


def loop(running: Installation, module: str) -> psutil.Process:
    """Have the loop of the one process that runs a module be an endless one, while its other threads go on."""
    (process,) = running.children(module)
    thread = process.pid
    if module == ENGINE:
        before = threads.worked(process)
        assert ask(running, 64) == 200
        thread = threads.busiest(process, before)
        assert thread != process.pid
    threads.loop(process, thread)
    return process


def hosts_own_health(engine: psutil.Process) -> int:
    """What the engine's threads for HTTP say, which need no loop for it."""
    (port,) = {each.laddr.port for each in engine.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    return httpx.get(f"http://127.0.0.1:{port}/health", timeout=60).status_code


def readiness(running: Installation, within_s: float = 1.0) -> int | None:
    """The status of `/readyz`; None where nobody answers."""
    try:
        return httpx.get(f"{running.url}/readyz", timeout=within_s).status_code
    except httpx.TransportError:
        return None


def ask(running: Installation, tokens: int) -> int:
    """The status of an answer by the model."""
    body = {"model": "mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": tokens}
    headers = {"authorization": f"Bearer {running.key}"}
    return httpx.post(f"{running.url}/v1/chat/completions", json=body, headers=headers, timeout=60).status_code


def works(running: Installation) -> bool:
    """Whether the model answers and the control process tells of all, as a user sees it."""
    headers = {"authorization": f"Bearer {running.key}"}
    return (
        ask(running, 2) == 200
        and httpx.get(f"{running.url}/api/v1/usage", headers=headers, timeout=60).status_code == 200
    )


def fail(running: Installation, module: str, looping: Collection[str]) -> psutil.Process:
    """Have it loop, or stand still."""
    return loop(running, module) if module in looping else stand_still(running, module)


# One that loops uses a processor for as long as it is waited for.
@pytest.mark.parametrize(
    "looping",
    [
        (ENGINE, WORKER),
        pytest.param((CONTROL, ENGINE, WORKER), marks=pytest.mark.slow),
        pytest.param((), marks=pytest.mark.slow),
    ],
    ids=["two loop", "all loop", "none loops"],
)
def test_what_no_longer_answers_is_replaced_and_reported_in_one_line(
    alone: Installation, looping: Collection[str], told: tuple[str, list[str]]
) -> None:
    log = alone.home / "serve.log"
    heard = told[1]
    wait_for(lambda: heard and heard[-1] == f"STATUS=Serving at {alone.url}", "the service manager to hear of it")
    heard_before = len(heard)
    begun = len(log.read_text())
    failed = [fail(alone, CONTROL, looping)]
    assert readiness(alone, 60) == 200, "what answers needs no control process"
    failed.append(fail(alone, ENGINE, looping))
    wait_for(lambda: readiness(alone) == 503, "/readyz to be 503")
    assert failed[1].is_running()
    if ENGINE in looping:
        assert hosts_own_health(failed[1]) == 200
    failed.append(fail(alone, WORKER, looping))
    wait_for(lambda: readiness(alone) is None, "/readyz to have nobody who answers")
    wait_for(lambda: not any(process.is_running() for process in failed), "their ends")
    wait_for(lambda: readiness(alone) == 200, "/readyz to be 200")
    wait_for(lambda: works(alone), "all to work")
    for name in ("control", "engine smollm2:135m", "worker-0"):
        (line,) = [
            line for line in log.read_text()[begun:].splitlines() if f"{name}: " in line or f"{name} is down" in line
        ]
        assert "has not answered for 3 s; killing it, to start it again" in line
    wait_for(lambda: heard[-1] == f"STATUS=Serving at {alone.url}", "the service manager to hear of it")
    assert any(each.startswith(f"STATUS=Not ready at {alone.url}; waiting for ") for each in heard[heard_before:])
    assert heard.count("READY=1") == 1
