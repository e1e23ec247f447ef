"""The process that works on images, one after another.

Decoders of images are native code that reads what anybody sends. So they run in a process without keys, sockets and
the journal, within limits of memory and time that the kernel keeps: an image that breaks or stops a decoder ends this
process and nothing else.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import IO

import msgspec

from weebill.images.bounds import Bounds
from weebill.images.decoding import decoded, rewritten
from weebill.images.errors import ImageError
from weebill.images.jobs import MOST_LINE, PATIENCE, Done, Job, Work


def main() -> None:
    """Runs until the worker is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries that print must not write between the results.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = sys.stdin.buffer
    with contextlib.suppress(BrokenPipeError):
        work = msgspec.json.decode(source.readline(MOST_LINE), type=Work)
        run = _TASKS[work.task](work.bounds)
        _limit_memory(work.memory)
        _tell(results, Done())
        while line := source.readline(MOST_LINE):
            job = msgspec.json.decode(line, type=Job)
            _tell(results, *_worked(job, source.read(job.size), run, work.seconds))


def _worked(job: Job, data: bytes, run: Callable[[bytes], bytes], seconds: float) -> tuple[Done, bytes]:
    # The kernel ends the process when its time is over, even if native code never returns.
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * PATIENCE)
    try:
        result = run(from_base64(data) if job.base64 else data)
    except ImageError as error:
        return Done(problem=str(error)), b""
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return Done(size=len(result)), result


def from_base64(data: bytes) -> bytes:
    """Returns what base64 stands for; line breaks may divide it. Raises ImageError.

    >>> from_base64(b"QU\\nJD")
    b'ABC'
    """
    try:
        return binascii.a2b_base64(data.translate(None, b"\r\n\t "), strict_mode=True)
    except binascii.Error as error:
        raise ImageError("its base64 is broken") from error


def _tell(results: IO[bytes], done: Done, data: bytes = b"") -> None:
    results.write(msgspec.json.encode(done) + b"\n" + data)
    results.flush()


def _limit_memory(most: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(ValueError, OSError):  # some systems have no such limit
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _decoder(bounds: Bounds) -> Callable[[bytes], bytes]:
    return lambda data: rewritten(data, bounds)


def _reader(bounds: Bounds) -> Callable[[bytes], bytes]:
    from weebill.images.recognition import TextReader

    reader = TextReader()
    return lambda data: msgspec.json.encode(reader.lines(decoded(data, bounds)))


_TASKS = {"decode": _decoder, "read": _reader}
