import asyncio
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import nursery
from weebill.config.paths import Home
from weebill.supervisor.commands import Reply, Request, serve

TIMEOUT_S = 180
COMMAND = [sys.executable, "-m", "weebill"]


class CommandLine:
    """`weebill ...` in a home of its own."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.home.create()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("WEEBILL_")}
        self.env["WEEBILL_HOME"] = str(root)

    def __call__(self, *arguments: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
        return nursery.weebill(arguments, stdin or "", self.env | env, TIMEOUT_S)

    def ok(self, *arguments: str, **options: str) -> str:
        """What a command that succeeds prints on stdout."""
        result = self(*arguments, **options)
        assert (result.returncode, result.stderr) == (0, ""), result
        return result.stdout

    def fails(self, code: int, *arguments: str, **options: str) -> str:
        """What a command that fails as it should prints on stderr."""
        result = self(*arguments, **options)
        assert result.returncode == code, result
        assert "Traceback" not in result.stderr
        assert result.stderr.startswith("error: ")
        return result.stderr

    def on_terminal(self, *arguments: str, typed: str = "") -> str:
        """All that appears on a terminal where `typed` is typed."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self.env | {"TERM": "xterm-256color"},
        )
        os.close(theirs)
        os.write(ours, typed.encode())
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:
            pass  # how Linux says that nobody has the terminal open any more
        finally:
            os.close(ours)
        assert process.wait(TIMEOUT_S) == 0, seen
        return seen.decode()


@pytest.fixture
def weebill(tmp_path):
    return CommandLine(tmp_path / "h")


@pytest.fixture
def supervisor(weebill):
    """Start something that answers in the supervisor's place: `supervisor(answer)`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def start(answer: Callable[[Request], Reply]) -> None:
        path = weebill.home.supervisor_socket
        asyncio.run_coroutine_threadsafe(serve(path, answer), loop).result(TIMEOUT_S)

    yield start
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
