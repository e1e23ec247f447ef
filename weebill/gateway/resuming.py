"""A stream that broke off is continued by another deployment, which is given what was said as its own beginning."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

import msgspec

from weebill.apis.base import Api, KeepsResponse
from weebill.gateway.attempting import Open
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.for_client import ForClient
from weebill.gateway.meter import Spending
from weebill.gateway.opened import OpenedResponse
from weebill.gateway.translation import Bridge
from weebill.providers.base import ByteStream, StreamDecoder, Translator, UpstreamRequest
from weebill.providers.registry import STREAMS_ONLY
from weebill.providers.registry import dialect as registry_dialect
from weebill.routing.steps import Try
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, Text, Turn
from weebill.wire.errors import ApiError
from weebill.wire.reply import Event, Finished, Started, TextDelta, Usage, UsageReported

_MAX_SAID: Final = 1_048_576  # characters that are kept for another to go on with
_EVENT_STREAM: Final = b"text/event-stream"
# What says nothing that would have to be continued.
_BESIDES: Final = (Started, UsageReported, Finished)


class ResumableAnswer:
    """What one client has been told, whoever told it: a `StreamEncoder` for several streams, one after the other.

    Only plain text can be continued: `tellable` is False once there has been anything else.
    """

    def __init__(self, api: Api, call: Call) -> None:
        self._api = api
        self._call = call
        self._encoder = api.stream(call)
        self._said: list[str] = []
        self._size = 0
        self._before = 0  # about as many tokens as were said by others
        self._block = 0
        self._resumed = False  # whether what comes is a continuation
        self._gap = ""  # white space that was sent and that the continuation may begin with
        self._offset: int | None = None  # of a continuation's parts, once its first has come
        self.tellable = _EVENT_STREAM in api.stream_headers(call)

    def can_go_on(self) -> bool:
        """Tells whether there is a beginning that another deployment can be given."""
        return self.tellable and bool("".join(self._said).strip())

    @property
    def response(self) -> bytes:
        """The Response object, where that is the client's format."""
        return self._encoder.response if isinstance(self._encoder, KeepsResponse) else b""

    def translator(self, dialect: str, spoken: frozenset[str]) -> Translator:
        """By way of the canonical form, in whatever format: bytes that pass through could not be continued."""
        return _Continuation(self, self._api, dialect)

    def telling(self) -> ResumableAnswer:
        """The story for another stream: this one where it goes on, else one of its own, for its beginning may fail."""
        return self if self._resumed else ResumableAnswer(self._api, self._call)

    def conversation(self, call: Call) -> Conversation:
        """What is asked, and what has been answered so far."""
        asked = self._api.conversation(call)
        # Providers refuse a beginning that ends in white space.
        said = "".join(self._said).rstrip()
        if not said:
            return asked
        return msgspec.structs.replace(asked, turns=(*asked.turns, Turn("assistant", (Text(said),))))

    def go_on(self) -> None:
        """What comes from now on is another stream, which goes on with what was said."""
        said = "".join(self._said)
        self._gap = said[len(said.rstrip()) :]
        self._before = len(self._said)
        self._resumed = True
        self._offset = None

    def mark(self, provider: str) -> bytes:
        """The comment that says in the client's stream who goes on."""
        return f": continued by {provider}\n\n".encode()

    def feed(self, events: list[Event]) -> bytes:
        return self._encoder.feed([told for event in events if (told := self._told(event)) is not None])

    def finish(self) -> bytes:
        return self._encoder.finish()

    def fail(self, error: ApiError) -> bytes:
        return self._encoder.fail(error)

    def _told(self, event: Event) -> Event | None:
        """The event as it goes on with what was said; None for what was said already."""
        if self._resumed:
            if isinstance(event, Started):
                return None
            event = self._shifted(event)
        if isinstance(event, TextDelta) and event.choice == 0:
            self._size += len(event.text)
            self._said.append(event.text)
            self._block = event.block
            if self._size > _MAX_SAID:
                self._said.clear()
                self.tellable = False
        elif not isinstance(event, _BESIDES):
            self.tellable = False
        return event

    def _shifted(self, event: Event) -> Event:
        """A continuation's event: its text belongs to the text before, and its usage counts that as said."""
        if isinstance(event, UsageReported):
            return UsageReported(self._total(event.usage))
        if isinstance(event, Finished):
            return event
        block: int = getattr(event, "block", 0)
        if self._offset is None:
            self._offset = self._block - block if isinstance(event, TextDelta) else self._block + 1 - block
        event = msgspec.structs.replace(event, block=block + self._offset)
        if self._gap and isinstance(event, TextDelta):
            text = event.text
            while text and self._gap and text[0] == self._gap[0]:
                text, self._gap = text[1:], self._gap[1:]
            if text:
                self._gap = ""
            event = msgspec.structs.replace(event, text=text)
        return event

    def _total(self, usage: Usage) -> Usage:
        """What the client is told: the beginning was read by the second, but said by the first."""
        said = min(usage.prompt_tokens, self._before)
        return Usage.reported(
            usage.prompt_tokens - said,
            usage.completion_tokens + said,
            cached=usage.cached_tokens,
            cache_write=usage.cache_write_tokens,
            reasoning=usage.reasoning_tokens,
            long_write=usage.long_write_tokens,
            cost_nano=usage.cost_nano,
        )


class ResumableStream(BridgeStream):
    """A stream that tells its part of a `story`."""

    __slots__ = ("story",)

    def __init__(self, call: Call, decoder: StreamDecoder, story: ResumableAnswer, for_client: ForClient) -> None:
        super().__init__(call, decoder, story, for_client)
        self.story = story


class _Continuation(Bridge):
    """A `Translator` whose requests hold what was said, and whose streams go on with the same story."""

    def __init__(self, story: ResumableAnswer, api: Api, dialect: str) -> None:
        super().__init__(api, registry_dialect(dialect), dialect, streams_only=dialect in STREAMS_ONLY)
        self._story = story

    def _conversation(self, call: Call) -> Conversation:
        return self._story.conversation(call)

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return ResumableStream(call, self._decoder(sent), self._story.telling(), self._for_client(sent))


def only_continuing(opening: Open[OpenedResponse], step: Try, spending: Spending) -> Awaitable[OpenedResponse]:
    """Calls a deployment that can go on with what was said. Raises ApiError for all others."""
    deployment = step.deployment
    if not deployment.facts.continues:
        message = f"'{deployment.model}' at '{deployment.provider}' does not continue what another began."
        raise ApiError(400, message, code="unsupported_parameter")
    return opening(step, spending)
