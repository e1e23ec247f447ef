"""llama.cpp's server as a program, `llama-server`: a build for this machine, for its GPU or its instruction sets.

1. The host starts the program with the options of the engine in its own process but for steps, flash attention and
   memory, then those that the operator adds, and with a key in its environment, where nobody else reads it.
2. It waits until the program answers, for as long as that does anything; what the program says of a failure is logged
   as any engine's.
3. The program ends with the host, and the host with the program.
"""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

from weebill.engine.errors import EngineError, ProgramError
from weebill.engine.llama_http import LlamaHttp
from weebill.engine.llama_options import Options, Value, options_of
from weebill.engine.role import EngineBoot, HostSettings
from weebill.process.effort import Stillness, activity_of

_log = logging.getLogger("weebill.engine")

_TEMPLATE: Final = "chat-template"
_KEY_VARIABLE: Final = "LLAMA_API_KEY"
_POLL_S: Final = 0.1
STILL_S: Final = 60.0
"""Seconds that a program may do nothing at all before it answers: it reads a file, computes, or says something."""
_LOOK_S: Final = 1.0
_HEALTH_TIMEOUT_S: Final = 2.0
# Its standard input ends with the process that holds the other end.
_KILL_AT_THE_END: Final = ("/bin/sh", "-c", 'read -r nothing; kill -s KILL -- "-$1"', "sh")
# Tokens of one step for each thread that reads prompts. Builds for a GPU or for tiles of numbers are fast with many.
_STEP: Final = 64
# Of `--lora-scaled`, which has no way to quote them.
_SEPARATORS: Final = frozenset(",:")
# Options that have no opposite, or that are so anyhow.
_ALONE: Final = frozenset({"metrics", "embedding"})


class LlamaProgram:
    """A running program: it answers at `base_url` until this process ends. `context` is a request's context in
    tokens.
    """

    def __init__(self, server: LlamaHttp) -> None:
        self._http = server
        self.base_url = server.base_url
        self.context = server.context()

    @classmethod
    def start(cls, told: EngineBoot) -> Self:
        """Starts the program; returns when it answers. Raises EngineError."""
        program = shutil.which(told.engine.llama_server)
        if program is None:
            raise EngineError(f"there is no program {told.engine.llama_server!r} ([local.engine] llama_server)")
        if odd := [path for path in told.adapters if _SEPARATORS.intersection(path)]:
            raise EngineError(f"llama-server takes no adapter whose path has a comma or a colon: {odd[0]}")
        port = _free_port()
        with _with_template_in_file(_own(told)) as options:
            command = [program, *arguments(options), "--port", str(port), *told.engine.llama_server_options]
            try:
                process = subprocess.Popen(  # noqa: S603 - the operator's program
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=2,
                    env=_environment(told.api_key),
                    # Of its own, so that what it starts ends with it: it may be a script around the program.
                    start_new_session=True,
                )
            except OSError as error:
                raise EngineError(f"{program} cannot be run: {error}") from error
            watcher = _watcher(process.pid)
            _wait_until_loaded(process, f"http://127.0.0.1:{port}", watcher)
        threading.Thread(target=_end_with_program, args=(process, watcher), name="program", daemon=True).start()
        return cls(LlamaHttp(f"http://127.0.0.1:{port}", told.api_key))

    @staticmethod
    def room(settings: HostSettings) -> int | None:
        """Returns None: this process loads nothing, and the program keeps the limit that it was started with."""
        return None

    def prepare(self) -> None:
        """Does in advance what the first schema would wait for. Raises EngineError."""
        self._http.prepare()

    def is_idle(self) -> bool:
        """True if no request is being worked on or waiting. Raises EngineError."""
        return self._http.is_idle()

    def wait_for_loop(self) -> None:
        """Returns when llama.cpp's loop has answered: between two of its steps, ahead of all requests."""
        while True:
            try:
                self._http.is_idle()
                return
            except EngineError:  # all of its connections are taken, or it ends: this process ends with it
                time.sleep(_POLL_S)


def _own(told: EngineBoot) -> Options:
    """Returns the options of the program: what it finds out itself of its device is left to it."""
    options = {name: value for name, value in options_of(told).items() if name != "fit"}
    if told.task != "chat":
        return options
    step = max(_STEP * int(str(options["threads-batch"])), int(str(options["batch-size"])))
    return options | {"batch-size": step, "ubatch-size": step, "flash-attn": "auto"}


def arguments(options: Options) -> list[str]:
    """Returns the options as a command line's."""
    return [word for name, value in options.items() for word in _words(name, value)]


def _words(name: str, value: Value) -> list[str]:
    match value:
        case bool():
            return [f"--{name}"] if value else [] if name in _ALONE else [f"--no-{name}"]
        case list():
            return [word for each in value for word in (f"--{name}", each)]
        case _:
            return [f"--{name}", str(value)]


def _environment(key: str) -> dict[str, str]:
    # Others' settings of the same program would be taken over without a word.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_ARG_")}
    return kept | {_KEY_VARIABLE: key, "LLAMA_ARG_OFFLINE": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _with_template_in_file(options: Options) -> Iterator[Options]:
    """Has a template, which quotes system prompts, in a file of this user alone: others read command lines."""
    template = options.pop(_TEMPLATE, None)
    if template is None:
        yield options
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="weebill-", suffix=".jinja") as file:
        file.write(str(template))
        file.flush()
        yield options | {f"{_TEMPLATE}-file": file.name}


def _watcher(program: int) -> subprocess.Popen[bytes]:
    """Has the program killed once this process is gone, however that came."""
    return subprocess.Popen(  # noqa: S603 - our own
        [*_KILL_AT_THE_END, str(program)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _end_with_program(process: subprocess.Popen[bytes], watcher: subprocess.Popen[bytes]) -> None:
    """Ends this process with the program, so that both are started again."""
    status = process.wait()
    _end_all(process, watcher)
    _log.error(_end(status))
    os._exit(1)


def _end_all(process: subprocess.Popen[bytes], watcher: subprocess.Popen[bytes]) -> None:
    """Ends what the program has left behind, and whoever watches for this process's end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    watcher.kill()


def _wait_until_loaded(process: subprocess.Popen[bytes], origin: str, watcher: subprocess.Popen[bytes]) -> None:
    """Waits as long as it loads, which the supervisor bounds. Raises ProgramError if it ends, or does nothing."""
    # Without its key: another process may have taken the port.
    server = LlamaHttp(origin, "", _HEALTH_TIMEOUT_S)
    stillness, looked_at = Stillness(), time.monotonic()
    while process.poll() is None:
        try:
            server.ask("/health")
        except (EngineError, OSError, http.client.HTTPException):
            time.sleep(_POLL_S)
        else:
            return
        if (elapsed_s := time.monotonic() - looked_at) >= _LOOK_S:
            looked_at += elapsed_s
            # Time in which this process stood still does not count.
            if stillness.after(min(elapsed_s, _HEALTH_TIMEOUT_S + _LOOK_S), activity_of(process.pid)) >= STILL_S:
                _end_all(process, watcher)
                process.wait()
                raise ProgramError(f"llama-server is not ready, and has done nothing for {STILL_S:g} s")
    _end_all(process, watcher)
    raise ProgramError(_end(process.returncode))


def _end(status: int) -> str:
    said = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
    return f"llama-server {said}"
