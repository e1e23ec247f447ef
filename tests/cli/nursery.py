"""`weebill ...` forked from a process that has imported the commands: importing takes longer than most of them.

From there on it is what `python -m weebill` does, which the tests of `serve`, of a terminal and of every installation
start.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from functools import cache
from typing import Final, NoReturn, TypedDict

import weebill.storage.sqlite.opening as sqlite_opening
from tests.fixtures.compiled import compile_statements
from tests.fixtures.nursery import begun
from weebill.storage import opening

_REQUEST_BYTES: Final = 1 << 20
# Its input, output and errors.
_STREAMS: Final = 3
_PRACTICE: Final = (
    "keys create practice --quiet",
    "keys list",
    "keys show practice",
    "orgs list",
    "users create practice@example.com --quiet",
    "config show",
)
# What commands load besides, by their first word: imported before the first of them.
_LOADED_LATE: Final = {
    "router": (
        *("scipy.optimize", "scipy.sparse", "scipy.special"),
        *("weebill.cli.router_evaluation", "weebill.cli.router_training"),
    )
}


class Request(TypedDict):
    """A command, where it runs, and how long it waits for a locked ledger, if not as long as ever."""

    arguments: list[str]
    env: dict[str, str]
    folder: str
    busy_timeout_s: float | None


def weebill(
    arguments: tuple[str, ...],
    stdin: str,
    env: dict[str, str],
    timeout_s: float,
    busy_timeout_s: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Raises TimeoutError if it takes longer than `timeout_s`."""
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        given.write(stdin)
        given.seek(0)
        streams = (given.fileno(), out.fileno(), err.fileno())
        with start(arguments, env, streams, busy_timeout_s) as status:
            returned = code(status, timeout_s)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(["weebill", *arguments], returned, out.read(), err.read())


def start(
    arguments: tuple[str, ...], env: dict[str, str], streams: tuple[int, int, int], busy_timeout_s: float | None = None
) -> socket.socket:
    """Start a command with files for its input, output and errors; what is returned tells how it has ended."""
    status, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        request = Request(arguments=[*arguments], env=env, folder=os.getcwd(), busy_timeout_s=busy_timeout_s)
        socket.send_fds(_nursery(), [json.dumps(request).encode()], [theirs.fileno(), *streams])
    return status


def code(status: socket.socket, timeout_s: float) -> int:
    """The exit status of what has been started, once it has ended. Raises TimeoutError."""
    status.settimeout(timeout_s)
    return int(status.recv(16))


@cache
def _nursery() -> socket.socket:
    return begun(__name__, __name__)


def _serve(requests: socket.socket) -> None:

    import weebill.cli.app
    import weebill.cli.audit
    import weebill.cli.configuration
    import weebill.cli.credits
    import weebill.cli.db
    import weebill.cli.experiment
    import weebill.cli.keys
    import weebill.cli.limits
    import weebill.cli.models
    import weebill.cli.providers
    import weebill.cli.route
    import weebill.cli.running
    import weebill.cli.sign_in
    import weebill.cli.tenants
    import weebill.cli.usage
    import weebill.supervisor.commands  # noqa: F401 - what all of this is for

    compile_statements()
    _practise()
    running: dict[int, socket.socket] = {}
    ended, end = socket.socketpair()
    end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(end.fileno(), warn_on_full_buffer=False)
    gc.freeze()
    while True:
        ready, _, _ = select.select([requests, ended], [], [])
        if ended in ready:
            ended.recv(_REQUEST_BYTES)
            _tell(running)
            continue
        request, fds, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, 1 + _STREAMS)
        if not request:
            return
        asked: Request = json.loads(request)
        for module in _LOADED_LATE.get(" ".join(asked["arguments"][:1]), ()):
            importlib.import_module(module)
        status, *streams = fds
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (requests, ended, end, *running.values()):
                each.close()
            os.close(status)
            _run(asked, streams)
        for fd in streams:
            os.close(fd)
        running[pid] = socket.socket(fileno=status)


def _tell(running: dict[int, socket.socket]) -> None:
    """Tell of the commands that have ended how they did."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            with running.pop(found[0]) as status, suppress(OSError):  # nobody may want to know any more
                status.send(str(os.waitstatus_to_exitcode(found[1])).encode())


def _practise() -> None:
    """Run some commands, so that those that are forked find made what each would make for itself.

    That is all commands of their functions, the settings' types, statements, and the catalogue.
    """
    from weebill.cli.app import command

    for name in [name for name in os.environ if name.startswith("WEEBILL_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="weebill-practice-") as folder, redirect_stdout(io.StringIO()):
        for words in _PRACTICE:
            command()(["--home", folder, *words.split()], standalone_mode=False)


def _run(request: Request, streams: Sequence[int]) -> NoReturn:
    code = 1
    try:
        for known, fd in enumerate(streams):
            os.dup2(fd, known)
            os.close(fd)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["env"])
        if request["busy_timeout_s"] is not None:
            opening.BUSY_TIMEOUT_S = sqlite_opening.BUSY_TIMEOUT_S = request["busy_timeout_s"]
        sys.argv = ["weebill", *request["arguments"]]
        runpy.run_module("weebill", run_name="__main__", alter_sys=True)
    except SystemExit as left:
        code = int(left.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # taking the interpreter apart would copy all that it shares


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
