"""Trials: an engine loads a model's files and answers once, before they get a name.

What an engine gets wrong of a file that is well-formed is known to it alone, and it may die of it. So it does that in a
process of its own (`weebill.engine.trial`), with a small context, on weights that stay in their file, within a limit of
memory and one of time.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Final

import msgspec

from weebill.models.engines import DEFAULT_ENGINE, EngineKind
from weebill.models.last_words import both_ends, last_words
from weebill.models.needs import FIXED_BYTES, free_memory
from weebill.models.tasks import Serving

# Of a trial: seconds for the engine itself and a busy machine, and bytes a second that any disk has.
_LEAST_S: Final = 60.0
_LEAST_SPEED: Final = 20 << 20
_COMMAND: Final = (sys.executable, "-P", "-m", "weebill.engine.trial")
# Nothing that an engine does to itself: somebody ended it, or the system for want of memory.
_FROM_OUTSIDE: Final = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
# The engine of the operator's own, which the one that is built in does not speak for.
_PROGRAM: Final = "llama-server"


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is to be tried: the paths of its files and the rest as in `ServedModel`, and their bytes in all."""

    path: str
    size: int
    kind: EngineKind = DEFAULT_ENGINE
    task: Serving = "chat"
    is_pooled: bool = False
    chat_template: str | None = None
    adapters: tuple[str, ...] = ()
    projector: str | None = None
    tokenizer: str | None = None

    @property
    def need(self) -> int:
        """The bytes of memory that a trial may take at most."""
        return self.size + FIXED_BYTES


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a trial: `fault` is why an engine cannot use the model, `untried` why that is not known; both are
    "" for a model that it can use.
    """

    fault: str = ""
    untried: str = ""


Trial = Callable[[Sample], Outcome]


def trial_by(engine: str) -> Trial:
    """Returns the trial of an installation whose models are served by the engine of this name."""
    return _by_nobody if engine == _PROGRAM else by_engine


def by_engine(sample: Sample, command: tuple[str, ...] = _COMMAND) -> Outcome:
    """Has the engine try a sample, in a process of its own that ends with this one."""
    if sample.need > (free := free_memory()):
        return Outcome(untried=f"it takes some {sample.need >> 20:,} MiB of memory, and {free >> 20:,} are free")
    limit_s = _LEAST_S + sample.size / _LEAST_SPEED
    with tempfile.NamedTemporaryFile() as given, tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as log:
        given.write(msgspec.json.encode(sample))
        given.flush()
        with subprocess.Popen(  # noqa: S603 - our own
            # Nothing is written to its standard input, which stays open as long as this process wants to know.
            [*command, given.name],
            stdin=subprocess.PIPE,
            stdout=told,
            stderr=log,
        ) as process:
            try:
                process.wait(limit_s)
            except subprocess.TimeoutExpired:
                # Of a slow disk or a busy machine, or of the file: what was fetched is not thrown away for that.
                return Outcome(untried=f"the engine has not answered within {limit_s:.0f} s")
            finally:
                process.kill()
        if -process.returncode in _FROM_OUTSIDE:
            ended = signal.Signals(-process.returncode).name
            return Outcome(untried=f"the engine was ended from outside by {ended}, maybe for want of memory")
        if process.returncode:
            return Outcome(fault=last_words(both_ends(log), process.returncode))
        told.seek(0)
        return msgspec.json.decode(told.read(), type=Outcome)


def _by_nobody(sample: Sample) -> Outcome:
    if sample.kind != DEFAULT_ENGINE:
        return by_engine(sample)
    return Outcome(untried=f"models are served by {_PROGRAM}, which may know more than the engine that is built in")
