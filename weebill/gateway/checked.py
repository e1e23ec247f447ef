"""A translator that keeps the answer for checks; it always goes through the canonical form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from weebill.apis.base import Api, StreamEncoder
from weebill.gateway.bare_json import BareJson, with_bare_json
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.for_client import ForClient
from weebill.gateway.translation import Bridge
from weebill.providers.base import ByteStream, StreamDecoder, Target, UpstreamRequest
from weebill.providers.registry import STREAMS_ONLY
from weebill.providers.registry import dialect as registry_dialect
from weebill.providers.usage import estimate
from weebill.wire.accumulate import ReplyBuilder
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.errors import ApiError
from weebill.wire.reply import Choice, Event, Failed, Logprobs, Reply, Usage

_NOTHING: Final = Reply("", "", (), Usage())
Asking = Callable[[Conversation], Conversation]


class CheckedBridge(Bridge):
    """The translator for one attempt. `reply_so_far()` is the answer so far, with the probabilities of its tokens.

    Probabilities that only the checks need are hidden from the client. If JSON was asked for, the answer is without a
    fence around it. `asking` changes the request.
    """

    def __init__(self, api: Api, dialect: str, asking: Asking, *, probabilities: bool) -> None:
        super().__init__(api, registry_dialect(dialect), dialect, streams_only=dialect in STREAMS_ONLY)
        self._asking = asking
        self._probabilities = probabilities and "logprobs" in self._dialect.supported
        self._reply = _NOTHING
        self._stream: CheckedStream | None = None
        self._wanted_by_client = False
        self._bares = False

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
        decoder = self._decoder(sent)
        if self._bares:
            decoder = BareJson(decoder)
        self._stream = CheckedStream(call, decoder, self._api.stream(call), self._for_client(sent), hides=self._hides)
        return self._stream

    def _conversation(self, call: Call) -> Conversation:
        asked = self._asking(super()._conversation(call))
        self._wanted_by_client = bool(asked.logprobs)
        # Probabilities that the client gets are those of the text as it is.
        self._bares = asked.output is not None and not asked.logprobs
        return msgspec.structs.replace(asked, logprobs=True) if self._probabilities and not asked.logprobs else asked

    def _shown(self, reply: Reply) -> Reply:
        self._reply = with_bare_json(reply) if self._bares else reply
        return _without_probabilities(self._reply) if self._hides else self._reply

    @property
    def _hides(self) -> bool:
        """True if there are probabilities that the client has not asked for."""
        return self._probabilities and not self._wanted_by_client


class CheckedStream(BridgeStream):
    """A stream whose answer is kept."""

    __slots__ = ("_bare", "_builder", "_hides")

    def __init__(
        self, call: Call, decoder: StreamDecoder, encoder: StreamEncoder, for_client: ForClient, *, hides: bool
    ) -> None:
        super().__init__(call, decoder, encoder, for_client)
        self._builder: ReplyBuilder | None = ReplyBuilder()
        self._hides = hides
        self._bare = decoder if isinstance(decoder, BareJson) else None

    @property
    def usage(self) -> Usage:
        """As reported; else estimated, with what is left out."""
        left_out = 0 if self._bare is None else self._bare.left_out
        return self._reported or estimate(self._call, completion_tokens=self._pieces + left_out)

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
