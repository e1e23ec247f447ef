"""Runs long work in one other thread, so that the event loop is not held up.

The two threads take turns. Interpreted code yields by itself after `TURN_S`; compiled code yields between its steps,
which the limits on a request keep short (`gateway.bounds`). There is one thread, so that the loop has at least half of
a core.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from weebill.routing.requirements import NotWorkedOutError, Requirements

T = TypeVar("T")

TURN_S: Final = 0.001
_THREAD: Final = ThreadPoolExecutor(1, "off-loop")


def give_way_soon() -> None:
    """Makes this process's threads take turns every millisecond instead of every five."""
    sys.setswitchinterval(TURN_S)


async def off_loop(work: Callable[[], T]) -> T:
    """Returns or raises what `work` does, in the other thread. `work` must be pure; if cancelled in time, it is not
    begun.
    """
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)


async def off_loop_if(big: bool, work: Callable[[], T]) -> T:
    """The same if `big`; else does the work at once."""
    return await off_loop(work) if big else work()


async def with_requirements(needs: Requirements, work: Callable[[], T]) -> T:
    """Returns `work()`, which needs `needs`; those of a big request are worked out off the loop first."""
    try:
        return work()
    except NotWorkedOutError:
        await off_loop(needs.work_out)
        return work()
