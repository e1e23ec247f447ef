"""The discovery process: watches the servers for models that the configuration has, and tells the workers of them.

It runs only if there are such servers. Workers need it for nothing that a client waits for: without it, the servers
count as well, their load as unknown, and the models that they listed last stay known.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from weebill.catalog.load import load
from weebill.config.paths import Home
from weebill.config.schema import DiscoverySettings, ProviderSettings, Settings
from weebill.discovery.adapters import Adapters
from weebill.discovery.states import States
from weebill.discovery.watching import Watch
from weebill.process import logs
from weebill.process.following import follow
from weebill.process.link import Link
from weebill.process.messages import Failed, Ready
from weebill.process.question_server import QuestionServer
from weebill.routing.adapters import TOPIC as ADAPTERS
from weebill.routing.servers import TOPIC, watched
from weebill.transport.client import Client

PROCESS_NAME: Final = "discovery"

log = logging.getLogger(__name__)


class Watching:
    """The watches over all servers of a configuration. Belongs to one event loop."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._client = Client()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watched: dict[str, tuple[ProviderSettings, DiscoverySettings]] = {}
        self._watches: dict[str, Watch] = {}

    def configure(self, settings: Settings) -> None:
        """Watches the servers of these settings; watches whose settings are as they were go on."""
        catalogue = load()
        found = {name: (provider, server) for name, provider, server in watched(settings, catalogue)}
        for name in self._tasks.keys() - found.keys():
            self._tasks.pop(name).cancel()
            del self._watched[name], self._watches[name]
        self._states.keep(found)
        for name, (provider, server) in found.items():
            now = (provider, settings.discovery)
            if self._watched.get(name) == now:
                continue
            if name in self._tasks:
                self._tasks[name].cancel()
            row = catalogue.providers.get(provider.identity(name))
            watch = self._watches[name] = Watch(
                name, provider, row, server, settings.discovery, self._client, self._states.put
            )
            self._watched[name] = now
            self._tasks[name] = asyncio.create_task(watch.run(), name=f"watch {name}")

    def of(self, provider: str) -> Watch | None:
        """Returns the watch over a provider's server; None if there is none."""
        return self._watches.get(provider)

    def close(self) -> None:
        """Ends all watches."""
        for task in self._tasks.values():
            task.cancel()
        self._client.close()


async def main() -> int:
    """Runs from `Boot` to `Drain`; returns the exit status. If the supervisor is gone, the process ends at once."""
    link = Link.open()
    boot = await link.boot()
    logs.configure(boot.settings.log, PROCESS_NAME)
    home = Home(Path(boot.home))
    states = States()
    watching = Watching(states)
    adapters = Adapters(states, watching.of, asyncio.get_running_loop())
    server = QuestionServer(answers={ADAPTERS: adapters.answer}, feeds={TOPIC: states.feed})
    try:
        await server.listen(home.discovery_socket)
    except OSError as error:
        link.send(Failed(message=str(error)))
        link.close()
        return 1
    watching.configure(boot.settings)
    link.send(Ready())
    drain = await follow(link, PROCESS_NAME, watching.configure, lambda: server.moves)
    if drain is None:
        os._exit(1)  # at once: nothing is kept here
    watching.close()
    server.close()
    with suppress(FileNotFoundError):
        home.discovery_socket.unlink()
    return 0
