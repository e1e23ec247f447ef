"""`pytest --processes 3`: the tests in several processes, forked from the one that has collected them.

Collecting takes half a minute where no module of the tests has been imported before, and several hundred megabytes.

1. pytest collects, in one process (the first).
2. It forks the others. Each asks for a piece of the work (`parallel.py`), and is given the next.
3. What they report is reported by the first. Where one dies, the test that it was at has failed, and another one does
   what is left of the piece.
4. Where nothing is left they end as pytest does, with what lasts for a session.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, Final

import pytest

# What pytest's own plugins know such a process by.
WORKER: Final = "workerinput"
_PASSED_OR_FAILED: Final = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


@dataclass
class Worker:
    """One of the others, and the tests of its piece that it has not finished."""

    pid: int
    link: Connection
    left: deque[int] = field(default_factory=deque)
    last: int = 0


def run(session: pytest.Session, pieces: Iterable[list[int]], count: int) -> None:
    """Run the pieces, which are numbers of the session's tests, in `count` processes. Returns in each of them."""
    waiting = deque(pieces)
    workers: dict[Connection, Worker] = {}
    gc.collect()
    gc.freeze()  # the pages stay shared
    try:
        while waiting or workers:
            while waiting and len(workers) < count:
                link, theirs = Pipe()
                pid = os.fork()
                if pid == 0:
                    for each in [link, *workers]:
                        each.close()
                    workers = {}
                    _work(session, theirs)
                    return
                theirs.close()
                workers[link] = Worker(pid, link)
            for ready in wait([*workers]):
                assert isinstance(ready, Connection)
                _attend(session, workers, workers[ready], waiting)
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:
                    raise session.Interrupted(session.shouldstop)
    finally:
        for worker in workers.values():
            _interrupt(worker)


def _interrupt(worker: Worker) -> None:
    """Have it end what its tests have started, and wait for that."""
    os.kill(worker.pid, signal.SIGINT)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            worker.link.recv()
    os.waitpid(worker.pid, 0)


def _attend(
    session: pytest.Session, workers: dict[Connection, Worker], worker: Worker, waiting: deque[list[int]]
) -> None:
    """Do what its messages ask for, or what its end does."""
    try:
        messages = worker.link.recv()
    except (EOFError, ConnectionError):
        del workers[worker.link]
        worker.link.close()
        code = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
        if worker.left or code not in _PASSED_OR_FAILED:
            _died(session, worker, code)
            if worker.left:
                waiting.appendleft([*worker.left])
        return
    for kind, value in messages:
        if kind == "asks":
            worker.left = deque(waiting.popleft() if waiting else ())
            worker.link.send([*worker.left])
        else:
            _hear(session, worker, kind, value)


def _hear(session: pytest.Session, worker: Worker, kind: str, value: Any) -> None:
    """Report what it reports."""
    config = session.config
    if kind == "report":
        report = config.hook.pytest_report_from_serializable(config=config, data=value)
        config.hook.pytest_runtest_logreport(report=report)
    elif kind == "warning":
        text, category, file, line, rest = value
        message = warnings.WarningMessage(text, category, file, line)
        config.hook.pytest_warning_recorded.call_historic(kwargs={"warning_message": message, **rest})
    elif kind == "begun":
        item = session.items[value]
        config.hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    else:
        item = session.items[value]
        config.hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        worker.last = worker.left.popleft()


def _died(session: pytest.Session, worker: Worker, code: int) -> None:
    """Let the test fail that it was at, or had been at."""
    item = session.items[worker.left.popleft() if worker.left else worker.last]
    report = pytest.TestReport(
        item.nodeid, item.location, keywords={}, outcome="failed", when="call",
        longrepr=f"the process that ran it ended with {code} ({signal.Signals(-code).name if code < 0 else 'exit'})",
    )  # fmt: skip
    session.config.hook.pytest_runtest_logreport(report=report)


class _Told:
    """A plugin that keeps what pytest would report in this process, until it is sent: many messages take long."""

    def __init__(self, config: pytest.Config, link: Connection) -> None:
        self._config = config
        self._link = link
        self._kept: list[tuple[str, object]] = []

    def keep(self, kind: str, value: object = None) -> None:
        """Add a message."""
        self._kept.append((kind, value))

    def forget(self) -> None:
        """Drop them all."""
        self._kept = []

    def send(self) -> None:
        """Send them all."""
        self._link.send(self._kept)
        self._kept = []

    def pytest_unconfigure(self) -> None:
        with contextlib.suppress(OSError):
            self.send()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.keep("report", self._config.hook.pytest_report_to_serializable(config=self._config, report=report))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: object
    ) -> None:
        rest = {"when": when, "nodeid": nodeid, "location": location}
        said = warning_message
        self.keep("warning", (str(said.message), said.category, said.filename, said.lineno, rest))


def _work(session: pytest.Session, link: Connection) -> None:
    """Ask for pieces and run them until there are none; pytest then ends this process as it would end any."""
    told = _settle(session.config, link)
    while True:
        told.keep("asks")
        told.send()
        piece = link.recv()
        if not piece:
            break
        for at, number in enumerate(piece):
            # The session goes on after the last.
            following: Any = session.items[piece[at + 1]] if at + 1 < len(piece) else session
            told.keep("begun", number)
            told.send()  # lest the first not know what it has died of
            session.config.hook.pytest_runtest_protocol(item=session.items[number], nextitem=following)
            told.keep("ended", number)
            if session.shouldfail or session.shouldstop:
                told.send()
                return


def _settle(config: pytest.Config, link: Connection) -> _Told:
    """Make what this process shares with the others its own: the terminal, captured output, the temporary folder.

    Returns what takes the terminal's place.
    """
    plugins = config.pluginmanager
    setattr(config, WORKER, {})
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what runs in its background ignore it
    plugins.unregister(name="terminalreporter")
    capture = plugins.getplugin("capturemanager")
    assert capture is not None
    capture.stop_global_capturing()
    capture.start_global_capturing()
    capture.suspend_global_capture()
    folders: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    folders._basetemp = folders.mktemp(f"process-{os.getpid()}", numbered=False)
    told = _Told(config, link)
    plugins.register(told)
    told.forget()  # pytest tells a new plugin of all earlier warnings; one that is forked later would repeat them
    sys.stdout.flush()
    return told
