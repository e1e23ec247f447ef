"""Decoders around others: they pass the events of a stream on as `read` has them."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from weebill.providers.base import SaysWhenOver, StreamDecoder
from weebill.wire.reply import Event


class DecoderAround:
    """A `StreamDecoder` that reads by another; who derives from it says in `read` what becomes of its events."""

    __slots__ = ("_decoder", "_says")

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder
        self._says = decoder if isinstance(decoder, SaysWhenOver) else None

    @property
    def owed_s(self) -> float:
        return inf if self._says is None else self._says.owed_s

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes."""
        return self.read(self._decoder.feed(data))

    def finish(self) -> Sequence[Event]:
        """The last events. Raises UpstreamFailure if the upstream's body was cut."""
        return self.read(self._decoder.finish())

    def read(self, events: Sequence[Event]) -> list[Event]:
        """The events to be told for those of the decoder within."""
        raise NotImplementedError
