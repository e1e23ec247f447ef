"""The memory that a host may take: it dies alone where it wants more, rather than with all else on the machine."""

from __future__ import annotations

import contextlib
import os
import re
import resource
from pathlib import Path
from typing import Final

# What requests take beyond what the model took to load: grammars, prompts, what is sampled from.
_WORKING_BYTES: Final = 1 << 30
# A thread's stack, which counts whole.
_STACK_BYTES: Final = 8 << 20
_STATUS: Final = Path("/proc/self/status")
_IN_USE: Final = re.compile(r"^VmData:\s+(\d+) kB", re.MULTILINE)


def limit(most: int) -> None:
    """Hold this process to `most` bytes of memory of its own; mapped files do not count.

    Not RLIMIT_AS, which counts what is only reserved, as graphics drivers do by the terabyte.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(ValueError, OSError):  # where a system has no such limit
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def of_machine() -> int:
    """The bytes that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def with_room(threads: int, cached: int) -> int | None:
    """The bytes that this process has, and room for so many threads and `cached` bytes kept; None if not known."""
    try:
        found = _IN_USE.search(_STATUS.read_text())
    except OSError:
        return None
    if found is None:
        return None
    return int(found[1]) * 1024 + _WORKING_BYTES + threads * _STACK_BYTES + cached
