"""Outages of a database: while it does not answer, nobody waits for it but the one who tries it again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from weebill.storage.errors import NotAnsweringError

_RETRY_S: Final = 0.5
_QUICK_S: Final = 0.25  # who is told at once, as where nothing listens, does no harm by trying again


class Outage:
    """Watches the calls of a database, in any thread.

    Once one of them has waited in vain, all calls fail at once, but for one at a time that tries it again, half a
    second after the last. So a database that hangs holds up one thread, and not all that would use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._error: NotAnsweringError | None = None
        self._trying = False
        self._retry_at = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Makes a call. Raises NotAnsweringError at once if the last one has waited in vain."""
        tries = self._begin()
        began = time.monotonic()
        failure: NotAnsweringError | None = None
        try:
            yield
        except NotAnsweringError as error:
            if time.monotonic() - began >= _QUICK_S:
                failure = error
            raise
        finally:
            with self._lock:
                self._error, self._retry_at = failure, time.monotonic() + _RETRY_S
                if tries:
                    self._trying = False

    def _begin(self) -> bool:
        """Returns True if this call is the one that tries the database again."""
        with self._lock:
            if self._error is None:
                return False
            if self._trying or time.monotonic() < self._retry_at:
                raise self._error.again()
            self._trying = True
            return True
