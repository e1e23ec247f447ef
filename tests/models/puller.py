"""Pulls in processes of their own, to be killed: forked from one that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

from huggingface_hub.utils import get_session

from tests.models.seen import Seen
from weebill.models.download import Patience
from weebill.models.http import client_of
from weebill.models.progress import Phase
from weebill.models.pull import pull
from weebill.models.store import ModelStore

PATIENCE = Patience(tries=20, first_s=0.001, longest_s=0.01, silence_s=20.0)
CHECKPOINT_BYTES = 1 << 14

# Before any fork: certificates are read once.
client_of(PATIENCE.silence_s)
get_session()

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.models.puller", "huggingface_hub.hf_api", "httpx2"])


class Noted(Seen):
    """Appends each phase that begins to a file."""

    def __init__(self, notes: Path) -> None:
        super().__init__()
        self._notes = notes

    def step(self, file: str, phase: Phase, done: int, total: int) -> None:
        if phase not in self.phases:
            with self._notes.open("a") as notes:
                notes.write(f"{phase} {done}\n")
        super().step(file, phase, done, total)


def start(folder: Path, name: str, environment: dict[str, str], notes: Path, deaths: int = -1) -> BaseProcess:
    """A process that pulls `name`. It kills itself before its `deaths`-th change of the store, never if negative."""
    process = _CONTEXT.Process(target=_run, args=(folder, name, environment, notes, deaths), daemon=True)
    process.start()
    return process


def _run(folder: Path, name: str, environment: dict[str, str], notes: Path, deaths: int) -> None:
    os.environ.update(environment)
    if deaths >= 0:
        _die_before(folder, deaths)
    pull(ModelStore(folder), name, Noted(notes), patience=PATIENCE, checkpoint_bytes=CHECKPOINT_BYTES)


def _die_before(folder: Path, left: int) -> None:
    """Kills this process before a change of the folder: the opening of a file to write, a rename, a removal, ..."""
    changes = ("os.rename", "os.remove", "os.mkdir", "os.chmod", "os.symlink", "os.rmdir")

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in changes) and str(arguments[0]).startswith(str(folder)):
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(audit)
