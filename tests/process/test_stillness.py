"""A program that should be starting does something, or nothing at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from weebill.process.effort import Activity, Stillness, activity_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux tells of them")

IDLE = Activity(cpu_s=3.0, moved=1000, waits=False)


def after(*found: Activity | None) -> float:
    """The seconds of stillness after these, a second apart."""
    stillness = Stillness()
    return [stillness.after(1.0, each) for each in found][-1]


def test_what_does_nothing_is_still() -> None:
    assert after(*[IDLE] * 61) == 60.0


@pytest.mark.parametrize(
    "last",
    [
        IDLE._replace(moved=1001),
        IDLE._replace(waits=True),
        IDLE._replace(cpu_s=4.5),
        None,  # nothing is known of it any more, or nothing ever was
    ],
)
def test_what_does_anything_is_not(last: Activity | None) -> None:
    assert after(*[IDLE] * 61, last) == 0.0


def test_what_only_answers_our_questions_is_still() -> None:
    answering = [IDLE._replace(cpu_s=3.0 + 0.003 * second) for second in range(61)]
    assert after(*answering) == 60.0


@contextmanager
def running(command: str) -> Iterator[int]:
    """A shell in a session of its own."""
    process = subprocess.Popen(["/bin/sh", "-c", command], start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_program_that_waits_is_seen_to_be_still() -> None:
    with running("sleep 600; true") as session:
        stillness = Stillness()
        while stillness.after(0.1, activity_of(session)) < 1.0:
            time.sleep(0.1)


@pytest.mark.parametrize("command", ["while :; do sleep 0.3; echo a; done", "sleep 0.3; while :; do :; done"])
def test_a_program_that_does_something_is_seen(command: str) -> None:
    with running(command) as session:
        stillness = Stillness()
        for _ in range(20):
            time.sleep(0.1)
            assert stillness.after(0.1, activity_of(session)) < 1.5


def test_what_is_gone_is_nothing() -> None:
    with running("true") as session:
        pass
    assert activity_of(session) is None
