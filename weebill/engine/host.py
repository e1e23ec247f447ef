"""The process that runs one compact model.

1. It loads the model, while a forked child watches for the supervisor's end (`guard`).
2. It reports the address to the supervisor, and prepares what the first schema needs.
3. It answers health probes, from the engine's own loop.
4. On Drain, it waits until it is idle, then exits; when the supervisor is gone, it exits at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import threading
import time
from typing import NoReturn

import msgspec

from weebill.engine import memory
from weebill.engine.errors import EngineError, ProgramError
from weebill.engine.guard import killed_if_closed
from weebill.engine.interface import Engine
from weebill.engine.kinds import KINDS
from weebill.engine.native_log import NativeLog, Said
from weebill.engine.role import EngineBoot, EngineReady
from weebill.engine.spinning import limit_spinning
from weebill.process import logs
from weebill.process.link import LinkClosedError, SyncLink
from weebill.process.messages import Drain, Failed, Ping, Pong, Ready, own

# Seconds between two looks of a draining host.
_IDLE_POLL_S = 0.1
# Idle looks in a row: after its last token, an answer still has to reach the gateway.
_IDLE_POLLS = 2

_log = logging.getLogger("weebill.engine")


def main() -> NoReturn:
    """Runs until the supervisor is gone (exits at once) or says Drain (exits with 0 when idle or its grace is over)."""
    # Ctrl-C in a terminal reaches every process; the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = SyncLink.open()
    try:
        boot = link.boot()
        # Before logging is configured, which is to write to the original descriptor 2.
        native = NativeLog(_log)
        told = msgspec.json.decode(boot.own, type=EngineBoot)
        logs.configure(boot.settings.log, f"engine {told.model}")
        server = _load(link, told, native)
        native.keep_private()
        ready = EngineReady(base_url=server.base_url, context=server.context)
        link.send(Ready(own=own(ready)))
        if told.task == "chat":
            threading.Thread(target=_prepare, args=(server,), name="prepare", daemon=True).start()
        asked = threading.Event()
        threading.Thread(target=_answer, args=(link, server, asked), name="pulse", daemon=True).start()
        for message in link:
            if isinstance(message, Ping):
                asked.set()
            elif isinstance(message, Drain):
                _wait_until_idle(link, server, message.grace_s)
                break
    except LinkClosedError:
        pass
    _leave(0)


def _answer(link: SyncLink, server: Engine, asked: threading.Event) -> None:
    """Answers health probes whenever the engine's loop does; this thread waits for it, so that no other has to."""
    with contextlib.suppress(LinkClosedError):
        while asked.wait():
            asked.clear()
            server.wait_for_loop()
            link.send(Pong())


def _prepare(server: Engine) -> None:
    """Does in advance what the first request with a schema would wait for."""
    try:
        server.prepare()
    except EngineError as error:
        _log.warning("%s", error)


def _load(link: SyncLink, told: EngineBoot, native: NativeLog) -> Engine:
    settings, started = told.engine, time.monotonic()
    kind = KINDS[told.kind]
    # A debugger attached to a dying process would only delay its restart.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    limit_spinning()
    memory.limit(settings.memory_mb << 20 or memory.of_machine())
    try:
        with killed_if_closed(link.fileno()):
            engine = kind.load()
            native.start()
            server = engine.start(told)
    except ImportError as error:
        _fail(link, f"The engine is not installed ({error}). Install it with: pip install 'weebill[{kind.extra}]'")
    except EngineError as error:
        _fail(
            link,
            f"The model {told.model} could not be loaded from {told.path}: {_reason(error, native.finish())}. "
            "If the file is at fault, replace it with `weebill pull`; if memory is short, lower context or parallel "
            "in [local.engine], or raise memory_mb there if it is set.",
        )
    if settings.memory_mb == 0 and (room := server.room(settings)) is not None:
        memory.limit(room)
    seconds = round(time.monotonic() - started, 3)
    _log.info("model loaded", extra={"model": told.model, "context": server.context, "seconds": seconds})
    return server


def _reason(error: EngineError, said: Said) -> str:
    """Returns why a model was not loaded: what native code says is wrong, or else what is known of it."""
    wrong = next(iter(said.errors), "")
    if not isinstance(error, ProgramError):
        return wrong or str(error)
    last = wrong or said.last
    return f"{error}; it said last: {last.rstrip('.')}" if last else str(error)


def _wait_until_idle(link: SyncLink, server: Engine, grace_s: float) -> None:
    """Returns when nothing is being generated, `grace_s` seconds are over, or the supervisor is gone."""
    deadline = time.monotonic() + grace_s
    idle = 0
    while idle < _IDLE_POLLS and time.monotonic() < deadline:
        try:
            idle = idle + 1 if server.is_idle() else 0
        except EngineError as error:
            _log.warning("draining ends early", extra={"reason": str(error)})
            return
        readable, _, _ = select.select([link], [], [], min(_IDLE_POLL_S, max(0.0, deadline - time.monotonic())))
        if readable and link.receive() is None:
            return


def _fail(link: SyncLink, message: str) -> NoReturn:
    _log.error(message)
    link.send(Failed(message=message))
    _leave(1)


def _leave(status: int) -> NoReturn:
    # Not sys.exit: it would wait for native threads that are still generating.
    sys.stderr.flush()
    os._exit(status)
