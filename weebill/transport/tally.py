"""How much of a streamed answer has been sent, kept where it can be seen from elsewhere."""

from __future__ import annotations


class Tally:
    """Counts the events of a streamed answer in one of `cells`, going on from what is there.

    The answer's beginning, which is sent already or about to be, counts as one.
    """

    __slots__ = ("_at", "_cells", "_count")

    def __init__(self, cells: memoryview[int], at: int) -> None:
        self._cells = cells
        self._at = at
        cells[at] = self._count = cells[at] + 1

    def add(self, data: bytes) -> None:
        """A piece of the answer is about to be sent; one that holds no event's end counts as one."""
        self._cells[self._at] = self._count = self._count + (data.count(b"\n\n") or 1)
