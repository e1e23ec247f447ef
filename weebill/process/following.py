"""A child's side of its link to the supervisor, once it is ready: it hears messages, and says that it is alive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from weebill.config.schema import Settings
from weebill.process import logs
from weebill.process.link import Link
from weebill.process.messages import Drain, Ping, Pong, Reload, ToChild

_LOOK_S: Final = 0.25

log = logging.getLogger(__name__)


async def follow(
    link: Link,
    name: str,
    reload: Callable[[Settings], None],
    moves: Callable[[], bool],
    hear: Callable[[ToChild], bool] = lambda message: False,
) -> Drain | None:
    """Handles the messages to the process `name` up to `Drain`; returns None if the supervisor is gone.

    A Ping is answered once `moves` says that all threads make progress: this is the only watch over them. `hear` is
    given what is neither Ping nor Reload, and says if it was for this process.
    """
    pinged = asyncio.Event()
    answering = asyncio.create_task(_answer(link, pinged, moves))
    try:
        async for message in link:
            match message:
                case Drain():
                    return message
                case Ping():
                    pinged.set()
                case Reload(settings=settings):
                    logs.configure(settings.log, name)
                    reload(settings)
                case _ if not hear(message):
                    log.warning("the supervisor sent a message that is not for the %s process", name)
        return None
    finally:
        answering.cancel()


async def _answer(link: Link, pinged: asyncio.Event, moves: Callable[[], bool]) -> None:
    while True:
        await pinged.wait()
        if moves():
            pinged.clear()
            link.send(Pong())
        else:
            await asyncio.sleep(_LOOK_S)
