"""A translator that keeps the answer for checks; it always goes through the canonical form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from weebill.apis.base import Api, StreamEncoder
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.for_client import ForClient
from weebill.gateway.translation import Bridge
from weebill.providers.base import Answer, ByteStream, StreamDecoder, Target, UpstreamRequest
from weebill.providers.registry import STREAMS_ONLY
from weebill.providers.registry import dialect as registry_dialect
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.errors import ApiError
from weebill.wire.reply import Choice, Event, Failed, Logprobs, Reply, Usage

_NOTHING: Final = Reply("", "", (), Usage())
Asking = Callable[[Conversation], Conversation]


class CheckedBridge(Bridge):
    """The translator for one attempt. `reply_so_far()` is the answer so far, with the probabilities of its tokens.

    Probabilities that only the checks need are hidden from the client. `asking` changes the request.
    """

    def __init__(self, api: Api, dialect: str, asking: Asking, *, probabilities: bool) -> None:
        super().__init__(api, registry_dialect(dialect), dialect, streams_only=dialect in STREAMS_ONLY)
        self._asking = asking
        self._probabilities = probabilities and "logprobs" in self._dialect.supported
        self._reply = _NOTHING
        self._stream: CheckedStream | None = None
        self._wanted_by_client = False

    def reply_so_far(self) -> Reply:
        """Returns the answer so far."""
        return self._reply if self._stream is None else self._stream.reply_so_far()

    def release(self) -> None:
        """Stops keeping the answer."""
        if self._stream is not None:
            self._stream.release()

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """As `Bridge.encode`; does without probabilities that this target cannot give."""
        try:
            return super().encode(call, target)
        except ApiError as error:
            if not self._probabilities or error.detail.param != self._names.get("logprobs", "logprobs"):
                raise
            self._probabilities = False
            return super().encode(call, target)

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        decoder, encoder = self._decoder(sent), self._api.stream(call)
        self._stream = CheckedStream(call, decoder, encoder, self._for_client(sent), hides=self._hides)
        return self._stream

    def _conversation(self, call: Call) -> Conversation:
        asked = self._asking(super()._conversation(call))
        self._wanted_by_client = bool(asked.logprobs)
        return msgspec.structs.replace(asked, logprobs=True) if self._probabilities and not asked.logprobs else asked

    def _render(self, call: Call, reply: Reply) -> Answer:
        self._reply = reply
        return super()._render(call, _without_probabilities(reply) if self._hides else reply)

    @property
    def _hides(self) -> bool:
        """True if there are probabilities that the client has not asked for."""
        return self._probabilities and not self._wanted_by_client


class CheckedStream(BridgeStream):
    """A stream whose answer is kept."""

    __slots__ = ("_builder", "_hides")

    def __init__(
        self, call: Call, decoder: StreamDecoder, encoder: StreamEncoder, for_client: ForClient, *, hides: bool
    ) -> None:
        super().__init__(call, decoder, encoder, for_client)
        self._builder: ReplyBuilder | None = ReplyBuilder()
        self._hides = hides

    def reply_so_far(self) -> Reply:
        """Returns the answer so far."""
        return _NOTHING if self._builder is None else self._builder.reply()

    def release(self) -> None:
        """Stops keeping the answer."""
        self._builder = None

    def _write(self, events: Sequence[Event]) -> bytes:
        if self._builder is not None:
            for event in self._for_client.events(events):
                if not isinstance(event, Failed):
                    self._builder.add(event)
        return super()._write([each for each in events if not isinstance(each, Logprobs)] if self._hides else events)


def _without_probabilities(reply: Reply) -> Reply:
    choices = tuple(Choice(each.parts, each.finish, each.stop_sequence) for each in reply.choices)
    return msgspec.structs.replace(reply, choices=choices)
