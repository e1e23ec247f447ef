"""Runs an installation in this process: claims the home and the port, prepares, and supervises until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping

from weebill.config.load import Configuration, Sources
from weebill.config.paths import Home
from weebill.models.store import ServedModel
from weebill.process import logs
from weebill.process.role import Role
from weebill.supervisor.commands import Status
from weebill.supervisor.file_limit import raise_limit, warn_of_limit
from weebill.supervisor.listeners import ListenError, open_listeners
from weebill.supervisor.lock import InstanceLock
from weebill.supervisor.manager import ServiceManager
from weebill.supervisor.supervisor import ROLES, Offers, Supervisor, no_more

log = logging.getLogger(__name__)

# The shortest limit among the systems we run on (macOS), less the final zero byte.
_LONGEST_SOCKET_PATH = 103


def serve(
    sources: Sources,
    configuration: Configuration,
    prepare: Callable[[], Mapping[str, ServedModel]],
    on_started: Callable[[Status], None],
    roles: Iterable[Role] = ROLES,
    offers: Offers = no_more,
    memory: int = 0,
) -> None:
    """Serves until a signal ends it.

    `prepare` runs once home and port are claimed, and returns the local models that are loaded at the start, by name;
    `offers` and `memory` are as in `Supervisor`.
    Raises AlreadyRunningError, ListenError, OSError for a home that cannot be written, and the errors of `prepare`.
    """
    manager = ServiceManager.of_process()
    home, server = sources.home, configuration.settings.server
    _check_socket_paths(home)
    home.create()
    lock = InstanceLock(home)
    try:
        listeners = open_listeners(server.host, server.port, server.workers)
        try:
            models = prepare()
            logs.configure(configuration.settings.log, "supervisor")
            for warning in configuration.warnings:
                log.warning("%s", warning)
            raise_limit(server.max_connections)
            warn_of_limit(server.max_connections)
            supervisor = Supervisor(
                sources, configuration, listeners, models, manager, on_started, roles, offers, memory
            )
            asyncio.run(supervisor.run())
        finally:
            listeners.close()
    finally:
        lock.release()


def _check_socket_paths(home: Home) -> None:
    longest = max(home.supervisor_socket, home.control_socket, key=lambda path: len(os.fsencode(path)))
    if len(os.fsencode(longest)) > _LONGEST_SOCKET_PATH:
        raise ListenError(
            f"the home folder's path is too long for the sockets in it: {longest}",
            "set WEEBILL_HOME to a folder with a shorter path",
        )
