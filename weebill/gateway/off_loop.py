"""Work that would hold the event loop up, done in one other thread, a step at a time.

The two take turns. Interpreted code gives way by itself, soon (`TURN_S`); compiled code does between its steps, which
the bounds on what a request may hold keep short (`gateway.bounds`). It is one thread, so that the loop has its half of
a core at least.
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
    """Have this process's threads take turns every millisecond rather than every five."""
    sys.setswitchinterval(TURN_S)


async def off_loop(work: Callable[[], T]) -> T:
    """What `work` gives, or raises, which must be pure; what is cancelled in time is not begun."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, work)


async def off_loop_if(big: bool, work: Callable[[], T]) -> T:
    """The same for what is big; what is not is done at once."""
    return await off_loop(work) if big else work()


async def once_known(needs: Requirements, work: Callable[[], T]) -> T:
    """Does `work`, which goes by a request's `needs`: those of a big one are worked out off the loop first."""
    try:
        return work()
    except NotWorkedOutError:
        await off_loop(needs.work_out)
        return work()
