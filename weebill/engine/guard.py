"""Ends this process when the supervisor goes away while native code holds the interpreter's lock.

No Python thread runs then, so a forked child watches the link instead. It lives only while the model loads.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def killed_if_closed(link: int) -> Iterator[None]:
    """Kills this process (SIGKILL) as soon as the peer of the socket `link` is gone.

    Forks, so it must be entered before any thread is started.
    """
    process = os.getpid()
    # The child watches the other end of this pipe: closed, the load is over or this process is dead.
    over, alive = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.close(alive)
            if _closed_first(link, over) == link:
                os.kill(process, signal.SIGKILL)
        os._exit(0)
    os.close(over)
    try:
        yield
    finally:
        os.close(alive)
        os.waitpid(child, 0)


def _closed_first(link: int, over: int) -> int:
    """Waits until the peer of one of two descriptors is gone; returns `over` if both are."""
    poll = select.poll()
    # No events but hang-ups, which are always reported: the data on the link is not the child's.
    poll.register(link, 0)
    poll.register(over, 0)
    closed = [descriptor for descriptor, _ in poll.poll()]
    return over if over in closed else link
