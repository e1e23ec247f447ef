"""Chunks of a relayed stream, put right in what only those before them tell: calls, lists and marks."""

from __future__ import annotations

from weebill.providers.openai.chunks import ending
from weebill.providers.openai.empties import has_empties, without_empties
from weebill.providers.openai.listed import Lists, has_lists
from weebill.providers.openai.repair import CallRepair, has_calls
from weebill.providers.openai.sealed import Seals, has_sealed
from weebill.wire.sse import event, event_data


class ChunkRepair:
    """The chunks of one stream; `calls` is there once any of them has had calls."""

    __slots__ = ("_lists", "_seals", "calls")

    def __init__(self, maker: str) -> None:
        self.calls: CallRepair | None = None
        self._lists: Lists | None = None
        self._seals = Seals(maker)

    def chunk(self, data: bytes) -> bytes:
        """A chunk with calls and lists as OpenAI's SDKs put them together, and with its maker's marks."""
        if has_empties(data):
            data = without_empties(data)
        if self.calls is not None or has_calls(data):
            self.calls = self.calls or CallRepair()
            data = self.calls.chunk(data)
        if has_lists(data):
            self._lists = self._lists or Lists()
            data = self._lists.chunk(data)
        return self._seals.marked(data) if has_sealed(data) else data

    def ending(self, last: bytes, told: set[bytes]) -> bytes:
        """The event that says why the choices in `told` ended, where none did; `last` is the data of the one before."""
        calls = self.calls
        end = ending(last, told, called=calls is not None and calls.called)
        return end if calls is None or not end else event(calls.chunk(event_data(end)))
