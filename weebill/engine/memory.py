"""The memory limit of a host: it dies alone, not with everything else on the machine, if it needs more."""

from __future__ import annotations

import contextlib
import os
import re
import resource
from pathlib import Path
from typing import Final

# Bytes for requests, beyond those for loading: grammars, prompts, sampling.
_WORKING_BYTES: Final = 1 << 30
# A thread's stack, which counts in full.
_STACK_BYTES: Final = 8 << 20
_STATUS: Final = Path("/proc/self/status")
_IN_USE: Final = re.compile(r"^VmData:\s+(\d+) kB", re.MULTILINE)


def limit(most: int) -> None:
    """Limits this process to `most` bytes of its own memory; mapped files do not count.

    RLIMIT_AS would count reserved addresses, of which graphics drivers have terabytes.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(ValueError, OSError):  # some systems have no such limit
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def of_machine() -> int:
    """Returns the machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def with_room(threads: int, cached: int) -> int | None:
    """Returns the bytes that this process uses, plus room for `threads` and `cached` bytes; None if unknown."""
    try:
        found = _IN_USE.search(_STATUS.read_text())
    except OSError:
        return None
    if found is None:
        return None
    return int(found[1]) * 1024 + _WORKING_BYTES + threads * _STACK_BYTES + cached
