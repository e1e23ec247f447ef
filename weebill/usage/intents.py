"""The requests that a worker has under way at upstreams: a table in a file mapped into memory, a slot for each.

A slot is taken before the upstream is called and given up once the usage record is in the journal, by a store each.
What is found in it after the worker's death are the requests that have no record, and how much of each answer was
relayed. Like a segment's, its writer holds the file locked: whoever can take the lock knows that it is dead.
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

# A slot: whether it is taken (1), a count of events (4, of native order), an Intent as a line of JSON.
_SLOT: Final = 512
_CELLS: Final = _SLOT // 4
_COUNT: Final = 4
_LINE: Final = 8
_LONGEST_LINE: Final = _SLOT - _LINE - 1
_NAME: Final = 64  # as much of a name as is kept where all of them would not fit
_ESCAPED: Final = re.compile(r"[^ !#-\[\]-~]")  # by JSON, or several bytes long
_FIRST_SLOTS: Final = 64
_NO_EVENTS: Final = b"\0" * (_LINE - _COUNT)


class Intents:
    """The table of one worker; made by the first request. It grows with the number of those under way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = -1
        self._table: mmap.mmap | None = None
        self._free: list[int] = []
        self._slots = 0
        self._encode = msgspec.json.Encoder().encode
        self.cells = memoryview(bytearray(4)).cast("I")
        """The table as numbers; `count_at` says which of them is a slot's."""

    def open(self, intent: Intent) -> int:
        """Take a slot. Raises OSError where there is no space for it."""
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
        # Last: the worker may die in between.
        table[start] = 1
        return slot

    def make_room(self) -> None:
        """See to it that there is a slot. Raises OSError."""
        if not self._free:
            self._grow()

    def reopen(self, slot: int, intent: Intent) -> int:
        """The slot of a request that somebody else is asked for by now. Raises OSError."""
        taken = self.open(intent)
        self.cells[taken * _CELLS + 1] = self.cells[slot * _CELLS + 1]
        self.close(slot)
        return taken

    def close(self, slot: int) -> None:
        """Give up a slot."""
        table = self._table
        if table is not None:
            table[slot * _SLOT] = 0
            self._free.append(slot)

    @property
    def taken(self) -> int:
        """How many requests are under way."""
        return self._slots - len(self._free)

    def count_at(self, slot: int) -> int:
        """Which of the `cells` counts the events that were relayed for the request in `slot`."""
        return slot * _CELLS + 1

    def leave(self) -> None:
        """Let go of the table, and delete it unless requests in it have no record."""
        if self._table is None:
            return
        if not self.taken:
            with suppress(OSError):
                self._path.unlink()
        self._table = None
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # the mapping has the file open, too, for as long as it is used
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
            # The old mapping goes once nobody counts in it any more.
            table = mmap.mmap(self.descriptor, slots * _SLOT)
        self._table = table
        self.cells = memoryview(table).cast("I")
        self._free.extend(range(slots - 1, self._slots - 1, -1))
        self._slots = slots


def left_open(table: bytes) -> Iterator[tuple[bytes, int]]:
    """The lines in the slots that are taken, and what they have counted."""
    for start in range(0, len(table) - _SLOT + 1, _SLOT):
        if table[start] == 1:
            line, _, _ = table[start + _LINE : start + _SLOT].partition(b"\n")
            yield line, int.from_bytes(table[start + _COUNT : start + _LINE], sys.byteorder)


def _shortened(intent: Intent) -> Intent:
    """Clients may choose long names."""
    names = (intent.key_id, intent.model_asked, intent.model_served, intent.upstream)
    key_id, asked, served, upstream = [_ESCAPED.sub("?", name)[:_NAME] for name in names]
    return msgspec.structs.replace(intent, key_id=key_id, model_asked=asked, model_served=served, upstream=upstream)


def _extend(descriptor: int, start: int, end: int) -> None:
    """Give the file space that is its own up to `end`: a store into memory cannot fail for want of it."""
    try:
        if sys.platform == "linux":
            os.posix_fallocate(descriptor, start, end - start)
        else:
            os.pwrite(descriptor, bytes(end - start), start)
    except OSError:
        os.ftruncate(descriptor, start)
        raise
