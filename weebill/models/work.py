"""`python -m weebill.models.work`: does the `Task` in the first line of standard input, and tells `Told` line by line.

It ends with its parent, which holds the other end of standard input: downloads are gone on with by the next.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import IO, Final

import msgspec

from weebill.models.creating import create
from weebill.models.errors import (
    AccessError,
    DiskFullError,
    FetchBusyError,
    ModelChoiceError,
    ModelError,
    ModelFormatError,
    ModelMissingError,
    ModelNameError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    ReadOnlyError,
    ServerError,
    UnknownModelError,
)
from weebill.models.jobs import Copy, Create, Delete, Failure, Pull, Step, Task, Told
from weebill.models.modelfile import ModelfileError
from weebill.models.parameters import ParameterError
from weebill.models.plan import Plan
from weebill.models.progress import Phase, Progress
from weebill.models.pull import pull
from weebill.models.recipe import Recipe, precision_of
from weebill.models.store import ModelStore
from weebill.models.trial import trial_by
from weebill.models.uploads import laid_out, remove

# Seconds between two steps of a file that are told.
_INTERVAL_S: Final = 0.2
# As a client that asks for such work may understand them; others are the server's fault.
_STATUSES: Final[tuple[tuple[tuple[type[ModelError], ...], int], ...]] = (
    ((ModelMissingError, UnknownModelError, NotFoundError), 404),
    ((ModelNameError, ParameterError, ModelfileError, ModelFormatError, ModelChoiceError), 400),
    ((DiskFullError, ReadOnlyError), 507),
    ((NetworkError, ServerError, AccessError, RateLimitError), 502),
    ((FetchBusyError,), 503),
)
_FILES: Final = ("/", "file:")
_WORDS: Final[dict[Phase, str]] = {
    "waiting": "waiting for another process to pull",
    "resuming": "pulling",
    "downloading": "pulling",
    "restarting": "pulling",
    "unpacking": "unpacking",
    "copying": "copying",
    "verifying": "verifying sha256 digest of",
    "converting": "converting",
    "quantizing": "quantizing",
    "distilling": "distilling",
    "trying": "trying",
}


class _Teller(Progress):
    """Tells steps on standard output, some each second."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._digests: dict[str, str] = {}
        self._told: tuple[str, Phase] | None = None
        self._told_at = 0.0

    def planned(self, plan: Plan) -> bool:
        """Notes what is known of the files that will be brought; accepts no terms, which people read elsewhere."""
        self._digests = {file.name: file.sha256 for file in plan.files if file.sha256}
        return False

    def step(self, file: str, phase: Phase, done: int, total: int) -> None:
        now = time.monotonic()
        if self._told == (file, phase) and done < total and now - self._told_at < _INTERVAL_S:
            return
        self._told, self._told_at = (file, phase), now
        known = self._digests.get(file, "")
        digest = f"sha256:{known}" if known else ""
        self._tell(Told(step=Step(status=f"{_WORDS[phase]} {file}", digest=digest, total=total, completed=done)))

    def say(self, text: str) -> None:
        self._tell(Told(step=Step(status=text)))

    def fail(self, failure: Failure) -> None:
        """Tells the end of a job that failed."""
        self._tell(Told(failure=failure))

    def _tell(self, told: Told) -> None:
        self._out.write(msgspec.json.encode(told) + b"\n")
        self._out.flush()


def do(task: Task, teller: _Teller) -> None:
    """Does a job. Raises ModelError or OSError."""
    store, job = ModelStore(Path(task.folder), trial_by(task.engine)), task.job
    match job:
        case Pull():
            teller.say("pulling manifest")
            pull(store, _not_a_file(job.name), teller, teller.planned)
        case Create():
            _create(store, job, teller)
        case Copy():
            store.copy(job.name, _bare(job.new))
        case Delete():
            store.remove(job.name)
    if isinstance(job, Pull | Create):
        teller.say("writing manifest")


def _create(store: ModelStore, job: Create, teller: _Teller) -> None:
    teller.say("gathering model components")
    with ExitStack() as stack:
        base = _not_a_file(job.base)
        if job.files:
            folder = stack.enter_context(laid_out(store.folder, job.files))
            base = str(folder / next(iter(job.files))) if len(job.files) == 1 else str(folder)
        adapters = stack.enter_context(laid_out(store.folder, job.adapters))
        recipe = Recipe(
            base=base,
            system=job.system,
            template=job.template,
            messages=job.messages,
            parameters=job.parameters,
            terms=job.terms,
            adapters=tuple(adapters / name for name in job.adapters),
            precision=precision_of(job.quantize),
        )
        create(store, _bare(job.name), recipe, teller, teller.planned)
    remove(store.folder, chain(job.files.values(), job.adapters.values()))


def _bare(name: str) -> str:
    """Returns a new name without the tag that Ollama adds to those that have none."""
    return name.removesuffix(":latest")


def _not_a_file(name: str) -> str:
    """Returns a name. Raises ModelNameError for a file of this machine, which who asks over a network does not see."""
    if name.startswith(_FILES):
        raise ModelNameError(name, "a file of the server is added there, with `weebill pull`", "hf:owner/repo")
    return name


def _failure(error: Exception) -> Failure:
    status = next((status for kinds, status in _STATUSES if isinstance(error, kinds)), 500)
    return Failure(message=str(error), status=status)


def main() -> int:
    """Does the task of standard input; returns the exit status."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    teller = _Teller(sys.stdout.buffer)
    try:
        do(task, teller)
    except (ModelError, OSError) as error:
        teller.fail(_failure(error))
        return 1
    return 0


def _end_with_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
