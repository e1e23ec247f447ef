"""What systemd hears of a supervisor that it has started, by the protocol of its own `systemd-notify`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.supervisor.fake_installation import COMMANDS, DEADLINE_S, Installation
from weebill.supervisor.manager import ServiceManager

MODEL = "smollm2:135m"


class Listener:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(DEADLINE_S)
        self._socket.bind(address.replace("@", "\0"))

    def hear(self) -> list[str]:
        return self._socket.recv(4096).decode().splitlines()

    def hear_until(self, wanted: str) -> list[str]:
        """All that is said, up to an assignment."""
        heard: list[str] = []
        while wanted not in heard:
            heard += self.hear()
        return heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["a file", "a name without a file"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / "notify") if request.param == "a file" else f"@weebill-test-{os.getpid()}")
    yield listener
    listener.close()


@COMMANDS
def test_all_of_a_life_is_told(installation: Installation, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", listener.address)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    installation.behave("worker-0", "unready")
    installation.start(MODEL)
    worker = installation.wait_until("worker-0", "ready")
    origin = installation.status().origin
    before = listener.hear_until(f"STATUS=Not ready at {origin}")
    assert f"STATUS=Not ready at {origin}; waiting for ledger, control, engine {MODEL}, worker-0" in before
    assert "READY=1" not in before
    installation.behave("worker-0", "ready")
    assert listener.hear_until("READY=1")[-2:] == ["READY=1", f"STATUS=Serving at {origin}"]
    listener.hear_until("WATCHDOG=1")
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & psutil.Process(worker.pid).environ().keys()
    os.kill(worker.pid, signal.SIGKILL)
    after = listener.hear_until(f"STATUS=Not ready at {origin}; waiting for worker-0")
    after += listener.hear_until(f"STATUS=Serving at {origin}")
    installation.signal(signal.SIGTERM)
    after += listener.hear_until("STOPPING=1")
    assert "READY=1" not in after
    assert installation.wait() == 0


def test_systemds_own_program_says_the_same(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which("systemd-notify")
    if program is None:
        pytest.skip("systemd is not installed")
    monkeypatch.setenv("NOTIFY_SOCKET", listener.address)
    subprocess.run([program, "--no-block", "--ready", "--status=Serving at http://h"], check=True)
    theirs = listener.hear()
    ServiceManager.of_process().follow(True, "http://h", [])
    assert sorted(listener.hear()) == sorted(line for line in theirs if not line.startswith("MAINPID="))


@pytest.mark.parametrize(
    ("limit_us", "pid", "watchdog_s"),
    [("3000000", "", 3.0), ("3000000", "own", 3.0), ("3000000", "1", 0.0), ("soon", "", 0.0), ("", "", 0.0)],
)
async def test_who_is_watched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit_us: str, pid: str, watchdog_s: float
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", limit_us)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert ServiceManager.of_process().watchdog_s == watchdog_s


def test_a_manager_that_does_not_listen_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener(str(tmp_path / "notify"))
    listener.close()
    manager = ServiceManager(listener.address, 0.0)
    for _ in range(3):
        manager.follow(True, "http://h", [])
    assert len(caplog.records) == 1
    (tmp_path / "notify").unlink()
    listener = Listener(listener.address)
    manager.follow(True, "http://h", [])
    assert listener.hear() == ["READY=1", "STATUS=Serving at http://h"]
    listener.close()
