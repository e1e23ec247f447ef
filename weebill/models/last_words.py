"""The reason why a process of our own, in which an engine works, has failed: from what it wrote and its status."""

from __future__ import annotations

import os
import re
import signal
from typing import IO, Final

# Characters of a reason.
_MOST: Final = 300
# Bytes that are read of each end of a log.
_END: Final = 64 << 10
# llama.cpp's errors, of which the first is the most precise, and what it says before it aborts.
_ENGINE_ERROR: Final = re.compile(r"^(?:[\d.]+ E |.*(?=\bGGML_(?:ASSERT|ABORT)\b))(?P<text>.+)$", re.MULTILINE)


def last_words(output: bytes, status: int) -> str:
    """Returns the reason in a line: an error of the engine, the signal that ended it, or the last line that it wrote.

    `output` is its standard error, or both ends of it.
    """
    text = output.decode(errors="replace")
    if found := _ENGINE_ERROR.search(text):
        return found["text"].strip()[:_MOST]
    if status < 0:
        return f"the engine was ended by {_signal(-status)}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:_MOST] if lines else f"it ended with status {status}, and said nothing"


def both_ends(log: IO[bytes]) -> bytes:
    """Returns the beginning and the end of a file, or all of a small one."""
    log.seek(0)
    begin = log.read(_END)
    log.seek(max(_END, log.seek(0, os.SEEK_END) - _END))
    return begin + log.read()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
