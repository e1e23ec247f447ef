"""Limits that are counted together: those that hold for the same requests.

All limits of a key are, and those of its project and organisation as well, until another key is met that has these
alone. So a worker whose requests are of few keys has few counts to keep, whatever the number of limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_MOST: Final = 65_536
_NEW: Final = 0


class Together:
    """The parts of all limits that have been met, by their ids: two are in one if each request had both or neither."""

    def __init__(self) -> None:
        self.part_of: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._last = _NEW

    def meet(self, ids: Iterable[int]) -> bool:
        """Takes the limits of one request; True if a part was divided, so that it is no longer counted as one."""
        divided = len(self.part_of) > _MOST
        if divided:
            self.part_of.clear()
            self._sizes.clear()
        met: dict[int, list[int]] = {}
        for each in ids:
            met.setdefault(self.part_of.get(each, _NEW), []).append(each)
        for part, members in met.items():
            if part != _NEW:
                if len(members) == self._sizes[part]:
                    continue
                self._sizes[part] -= len(members)
                divided = True
            self._last += 1
            self._sizes[self._last] = len(members)
            self.part_of.update(dict.fromkeys(members, self._last))
        return divided
