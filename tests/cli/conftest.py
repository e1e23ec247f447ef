import asyncio
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli import nursery
from weebill.config.paths import Home
from weebill.supervisor.commands import Reply, Request, Status, serve

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

    def on_terminal(self, *arguments: str, typed: str = "", forked: bool = True, code: int = 0) -> str:
        """All that appears on a terminal where `typed` is typed, of a command that ends with `code`."""
        ours, theirs = pty.openpty()
        env, streams = self.env | {"TERM": "xterm-256color"}, (theirs, theirs, theirs)
        if forked:
            end = nursery.start(arguments, env, streams)
        else:
            stdin, stdout, stderr = streams
            end = subprocess.Popen([*COMMAND, *arguments], stdin=stdin, stdout=stdout, stderr=stderr, env=env)
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
        with end:
            assert (nursery.code(end, TIMEOUT_S) if forked else end.wait(TIMEOUT_S)) == code, seen
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
        async def answered(request: Request) -> Reply:
            return answer(request)

        path = weebill.home.supervisor_socket
        asyncio.run_coroutine_threadsafe(serve(path, answered), loop).result(TIMEOUT_S)

    yield start
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def chunk(text):
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


class Gateway(ThreadingHTTPServer):
    """Answers with what `script` yields for a request's body, and remembers requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.script = lambda body: [chunk("Hel"), b": a comment\n\n", chunk("lo\x1b[2J"), DONE]
        self.requests = []
        self.keys = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(body)
        self.server.keys.append(self.headers["authorization"].removeprefix("Bearer "))
        self.send_response(self.server.status)
        self.end_headers()
        for piece in self.server.script(body):
            self.wfile.write(piece)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def gateway(supervisor):
    gateway = Gateway()
    thread = threading.Thread(target=gateway.serve_forever)
    thread.start()
    status = Status(
        version="9.9",
        pid=1,
        started_at=0.0,
        origin=f"http://127.0.0.1:{gateway.server_port}",
        tls_cert="",
        config_file="",
        models=(),
        processes=(),
        needs_restart=(),
    )
    supervisor(lambda request: status)
    yield gateway
    gateway.shutdown()
    gateway.server_close()
    thread.join()
