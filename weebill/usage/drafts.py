"""Files of a journal, locked before they get their names: an unlocked one would be taken for a dead worker's."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DRAFT_SUFFIX = ".draft"


@contextmanager
def locked_draft(path: Path) -> Iterator[int]:
    """Creates a file, published as `path` at the end and kept open; removed if the block raises. Raises OSError."""
    draft = path.with_suffix(DRAFT_SUFFIX)
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
        draft.rename(path)
    except BaseException:
        os.close(descriptor)
        with suppress(OSError):
            draft.unlink()
        raise
