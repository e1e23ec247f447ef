"""The states of watched servers, as a running discovery process tells them to a command."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from weebill.config.paths import Home
from weebill.process.questions import Questions
from weebill.routing.server_news import Servers
from weebill.routing.servers import TOPIC

# Long enough for a process that runs: its first news are all that it knows.
_NEWS_S: Final = 2.0


def servers_now(home: Home) -> Servers:
    """Returns the servers as they are known now; none if nobody watches them."""
    return asyncio.run(_told(home)) if home.discovery_socket.exists() else Servers()


async def _told(home: Home) -> Servers:
    heard = asyncio.Event()
    servers = Servers(heard.set)
    questions = Questions(home.discovery_socket, {TOPIC: servers})
    questions.start()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_NEWS_S):
                await heard.wait()
    finally:
        questions.close()
    return servers
