"""The limit of open files: every connection is one, and answering it takes another to an upstream."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress

# Sockets to listen on, databases, journals, libraries.
OWN_FILES = 64

log = logging.getLogger(__name__)


def raise_limit(max_connections: int) -> None:
    """Raises the limit of this process and its children to their need, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * max_connections + OWN_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):  # macOS has a further limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def warn_of_limit(max_connections: int) -> None:
    """Logs a warning if a worker may open fewer files than the connections that it is to accept need."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < max_connections + OWN_FILES:
        log.warning(
            "a process may have %d files open, and `server.max_connections` is %d: raise the limit (`ulimit -n`, "
            "LimitNOFILE= in a systemd unit, --ulimit of Docker) to twice that number, or lower the setting",
            limit,
            max_connections,
        )
