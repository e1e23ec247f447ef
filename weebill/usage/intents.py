"""The requests that a worker has under way at upstreams: a table in a file mapped into memory, a slot for each.

A slot is taken before the upstream is called and released once the usage record is in the journal, by one store each.
After a worker's death, the taken slots are the requests without a record, with the number of events relayed for each.
As with a segment, the writer holds a lock on the file: a process that can take the lock knows that the writer is dead.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from weebill.usage.drafts import locked_draft
from weebill.usage.records import Intent

INTENTS_SUFFIX: Final = ".open"

# A slot: 1 if it is taken (byte 0), a count of events (bytes 4 to 7, native order), an Intent as a line of JSON.
_SLOT: Final = 512
_CELLS: Final = _SLOT // 4
_COUNT: Final = 4
_LINE: Final = 8
_LONGEST_LINE: Final = _SLOT - _LINE - 1
_NAMES: Final = 256  # characters kept of all names if they do not fit, less what the ids of many limits take
_NAME: Final = 24  # of each, whatever else there is
_SHORT_HELD: Final = 40
_ESCAPED: Final = re.compile(r"[^ !#-\[\]-~]")  # characters that JSON escapes, or of several bytes
_FIRST_SLOTS: Final = 64
_NO_EVENTS: Final = b"\0" * (_LINE - _COUNT)


class Intents:
    """The table of one worker, created by the first request. It grows with the number of open requests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = -1
        self._table: mmap.mmap | None = None
        self._free: list[int] = []
        self._slots = 0
        self._encode = msgspec.json.Encoder().encode
        self.cells = memoryview(bytearray(4)).cast("I")
        """The table as numbers; `count_at` has the index of a slot's count."""

    def open(self, intent: Intent) -> int:
        """Takes a slot. Raises OSError if there is no space for it."""
        line = self._encode(intent)
        if len(line) > _LONGEST_LINE:
            line = self._encode(_shortened(intent))[:_LONGEST_LINE]
        if not self._free:
            self._grow()
        slot = self._free.pop()
        table = self._table
        assert table is not None  # noqa: S101 - a slot is of a table
        start = slot * _SLOT
        end = start + _LINE + len(line)
        table[start + _COUNT : end + 1] = b"%b%b\n" % (_NO_EVENTS, line)
        # Last: the worker may die before the line is complete.
        table[start] = 1
        return slot

    def make_room(self) -> None:
        """Ensures that a slot is free. Raises OSError."""
        if not self._free:
            self._grow()

    def reopen(self, slot: int, intent: Intent) -> int:
        """Moves a request to a new slot when another upstream is called; keeps the count. Raises OSError."""
        taken = self.open(intent)
        self.cells[taken * _CELLS + 1] = self.cells[slot * _CELLS + 1]
        self.close(slot)
        return taken

    def close(self, slot: int) -> None:
        """Releases a slot."""
        table = self._table
        if table is not None:
            table[slot * _SLOT] = 0
            self._free.append(slot)

    @property
    def taken(self) -> int:
        """The number of open requests."""
        return self._slots - len(self._free)

    def count_at(self, slot: int) -> int:
        """Returns the index in `cells` of the count of events relayed for the request in `slot`."""
        return slot * _CELLS + 1

    def leave(self, *, stays: bool = False) -> None:
        """Closes the table, and deletes it unless it `stays`, or requests in it have no record."""
        if self._table is None:
            return
        if not self.taken and not stays:
            with suppress(OSError):
                self._path.unlink()
        self._table = None
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # explicitly, as the mapping keeps the file open
        os.close(self.descriptor)
        self.descriptor = -1

    def _grow(self) -> None:
        slots = 2 * self._slots or _FIRST_SLOTS
        if self._table is None:
            with locked_draft(self._path) as descriptor:
                _extend(descriptor, 0, slots * _SLOT)
                table = mmap.mmap(descriptor, slots * _SLOT)
            self.descriptor = descriptor
        else:
            _extend(self.descriptor, self._slots * _SLOT, slots * _SLOT)
            # The old mapping is freed with the last view of its cells.
            table = mmap.mmap(self.descriptor, slots * _SLOT)
        self._table = table
        self.cells = memoryview(table).cast("I")
        self._free.extend(range(slots - 1, self._slots - 1, -1))
        self._slots = slots


def left_open(table: bytes) -> Iterator[tuple[bytes, int]]:
    """Yields the line and the count of each taken slot."""
    for start in range(0, len(table) - _SLOT + 1, _SLOT):
        if table[start] == 1:
            line, _, _ = table[start + _LINE : start + _SLOT].partition(b"\n")
            yield line, int.from_bytes(table[start + _COUNT : start + _LINE], sys.byteorder)


def _shortened(intent: Intent) -> Intent:
    """Shortens the names, which clients may choose as long as they like."""
    names = (intent.key_id, intent.model_asked, intent.model_served, intent.upstream)
    most = max(_NAME, (_NAMES - max(0, len(intent.held) - _SHORT_HELD)) // len(names))
    key_id, asked, served, upstream = [_ESCAPED.sub("?", name)[:most] for name in names]
    return msgspec.structs.replace(intent, key_id=key_id, model_asked=asked, model_served=served, upstream=upstream)


def _extend(descriptor: int, start: int, end: int) -> None:
    """Reserves disk space up to `end`, so that a store into the mapping cannot fail on a full disk."""
    try:
        if sys.platform == "linux":
            os.posix_fallocate(descriptor, start, end - start)
        else:
            os.pwrite(descriptor, bytes(end - start), start)
    except OSError:
        os.ftruncate(descriptor, start)
        raise
