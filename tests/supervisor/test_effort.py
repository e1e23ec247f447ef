"""Silence counts only while a process could have answered."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from weebill.process.effort import Effort
from weebill.supervisor.heartbeat import Heartbeat

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux tells of them")

ENDLESS = "while True: pass"
BESIDE_OTHERS = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); os.nice({})\n" + ENDLESS


# A parent waits for what vfork(2) makes as it would for a disk, until its child ends.
HELD_UP = "import ctypes, time; ctypes.CDLL(None).vfork(); time.sleep(600)"


@contextmanager
def running(code: str) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_what_stands_still_could_have_answered_all_the_time() -> None:
    with running(ENDLESS) as pid:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.2)
        effort = Effort(pid)
        assert effort.counted(10.0) == 10.0


def test_what_waits_could_have_answered_all_the_time() -> None:
    with running("import time; time.sleep(600)") as pid:
        while Effort(pid).counted(10.0) != 10.0:  # until it has started
            time.sleep(0.1)


def test_what_loops_is_counted_while_it_has_a_processor() -> None:
    with running(ENDLESS) as pid:
        effort = Effort(pid)
        counted = 0.0
        while counted < 1.0:
            time.sleep(0.1)
            counted += effort.counted(0.1)


def test_what_is_kept_waiting_by_others_is_not_to_blame() -> None:
    with running(BESIDE_OTHERS.format(0)), running(BESIDE_OTHERS.format(19)) as pid:
        time.sleep(1)
        effort, began = Effort(pid), time.monotonic()
        time.sleep(2)
        elapsed_s = time.monotonic() - began
        # It is worth 15 of the other's 1,024.
        assert effort.counted(elapsed_s) < elapsed_s / 2


async def test_what_the_disk_keeps_waiting_is_said_not_to_answer_and_not_given_up() -> None:
    with running(HELD_UP) as pid:
        while not Effort(pid).waits_for_disk():
            await asyncio.sleep(0.05)
        doubted = asyncio.Event()
        silent = asyncio.create_task(Heartbeat(pid, lambda: None, lambda: 0.5, doubted.set).until_silent())
        said = asyncio.create_task(doubted.wait())
        ended, waiting = await asyncio.wait({said, silent}, return_when=asyncio.FIRST_COMPLETED)
        assert ended == {said}
        waiting.pop().cancel()


def test_what_is_gone_is_no_error() -> None:
    with running(ENDLESS) as pid:
        effort = Effort(pid)
    assert effort.counted(1.0) == 1.0
