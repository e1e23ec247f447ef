"""Recordings in a worker's memory: bounded by bytes; the least recently used are dropped first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from weebill.cache.recording import Recording

ENTRY_OVERHEAD_BYTES: Final = 1024
"""The overhead of an entry in bytes: objects, keys, table slots. Measured: some 700."""


class Memory:
    """Recordings by key, at most `max_bytes`. `on_gone` is called with each key that is dropped or replaced."""

    def __init__(self, max_bytes: int, on_gone: Callable[[bytes], None]) -> None:
        self._max_bytes = max_bytes
        self._on_gone = on_gone
        self._entries: OrderedDict[bytes, Recording] = OrderedDict()
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now: float) -> Recording | None:
        """Returns a recording that has not expired."""
        found = self._entries.get(key)
        if found is None:
            return None
        if found.expires_at <= now:
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return found

    def put(self, key: bytes, recording: Recording) -> bool:
        """Stores a recording in place of one with the same key; False if it is too large even alone."""
        if _size(recording) > self._max_bytes:
            return False
        if key in self._entries:
            self._forget(key)
        self._entries[key] = recording
        self.used_bytes += _size(recording)
        self._make_room()
        return True

    def resize(self, max_bytes: int) -> None:
        """Applies a new bound."""
        self._max_bytes = max_bytes
        self._make_room()

    def _make_room(self) -> None:
        while self.used_bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: bytes) -> None:
        self.used_bytes -= _size(self._entries.pop(key))
        self._on_gone(key)


def _size(recording: Recording) -> int:
    return len(recording.data) + ENTRY_OVERHEAD_BYTES
