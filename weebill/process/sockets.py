"""Unix sockets for the processes of one user."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def listen(path: Path) -> socket.socket:
    """Opens a socket at `path` that only the user may connect to; one left by a dead process is replaced.

    Raises OSError.
    """
    draft = path.with_name(f".{path.stem}")  # no longer than the path, whose length is limited
    draft.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mask = os.umask(0o177)
        try:
            listener.bind(str(draft))
        except OSError as error:
            raise OSError(f"cannot listen at {path}: {error}; a shorter WEEBILL_HOME may help") from error
        finally:
            os.umask(mask)
        listener.listen()
        draft.replace(path)  # only now, so that a socket at the path always accepts
    except BaseException:
        listener.close()
        raise
    return listener
