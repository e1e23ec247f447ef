"""Moments that timers have in common, so that a process with several wakes up once for all of them."""

from __future__ import annotations

import asyncio
from typing import Final

# Timers go off up to a millisecond early: a beat that is as near has been.
_NEAR: Final = 0.05


async def next_beat(interval_s: float) -> None:
    """Waits until the next whole multiple of `interval_s` by the event loop's clock."""
    await asyncio.sleep(until_beat(interval_s))


async def set_or_due(event: asyncio.Event, within_s: float) -> None:
    """Waits until an event is set, as it is after so many seconds at the latest."""
    timer = asyncio.get_running_loop().call_later(within_s, event.set)
    await event.wait()
    timer.cancel()


def until_beat(interval_s: float) -> float:
    """Returns the seconds until then."""
    left_s = interval_s - asyncio.get_running_loop().time() % interval_s
    return left_s if left_s > _NEAR * interval_s else left_s + interval_s
