"""Resuming: another deployment continues a stream that broke off.

1. A resumable stream is translated event by event, and the text that the client got is kept (`ResumableAnswer`).
2. When it breaks off, the failure is reported to routing, and the next deployment is called.
3. That deployment gets the conversation with the text so far as the beginning of its answer.
4. Its events are renumbered and go on in the client's stream, after a comment that names the provider.
"""

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

_MAX_SAID: Final = 1_048_576  # the most characters kept for a continuation
_EVENT_STREAM: Final = b"text/event-stream"
# Events without content that would have to be continued.
_BESIDES: Final = (Started, UsageReported, Finished)


class ResumableAnswer:
    """The answer that one client has got, from one upstream or several: a `StreamEncoder` for one stream after another.

    Only plain text can be continued: `plain_text` is False once there has been anything else.
    """

    def __init__(self, api: Api, call: Call) -> None:
        self._api = api
        self._call = call
        self._encoder = api.stream(call)
        self._said: list[str] = []
        self._size = 0
        self._before = 0  # about as many tokens as the earlier streams gave
        self._block = 0
        self._resumed = False  # the stream is a continuation
        self._gap = ""  # white space that was sent, and that the continuation may repeat
        self._offset: int | None = None  # added to a continuation's block numbers, once its first block has come
        self.plain_text = _EVENT_STREAM in api.stream_headers(call)

    def can_resume(self) -> bool:
        """True if there is text that another deployment can continue."""
        return self.plain_text and bool("".join(self._said).strip())

    @property
    def response(self) -> bytes:
        """The Response object, if that is the client's format."""
        return self._encoder.response if isinstance(self._encoder, KeepsResponse) else b""

    def translator(self, dialect: str, spoken: frozenset[str]) -> Translator:
        """Returns a translator through the canonical form, for every dialect: relayed bytes could not be continued."""
        return _Continuation(self, self._api, dialect)

    def for_stream(self) -> ResumableAnswer:
        """Returns the answer for a new stream: this one if it is being resumed, else a fresh one, as a stream's
        beginning may fail.
        """
        return self if self._resumed else ResumableAnswer(self._api, self._call)

    def conversation(self, call: Call) -> Conversation:
        """Returns the conversation, with the text so far as its last turn."""
        asked = self._api.conversation(call)
        # Providers refuse an answer prefix that ends in white space.
        said = "".join(self._said).rstrip()
        if not said:
            return asked
        return msgspec.structs.replace(asked, turns=(*asked.turns, Turn("assistant", (Text(said),))))

    def resume(self) -> None:
        """Prepares for a stream that continues the text so far."""
        said = "".join(self._said)
        self._gap = said[len(said.rstrip()) :]
        self._before = len(self._said)
        self._resumed = True
        self._offset = None

    def mark(self, provider: str) -> bytes:
        """The comment in the client's stream that names the provider that continues."""
        return f": continued by {provider}\n\n".encode()

    def feed(self, events: list[Event]) -> bytes:
        return self._encoder.feed([told for event in events if (told := self._adapted(event)) is not None])

    def finish(self) -> bytes:
        return self._encoder.finish()

    def fail(self, error: ApiError) -> bytes:
        return self._encoder.fail(error)

    def _adapted(self, event: Event) -> Event | None:
        """Returns the event as the client's stream needs it; None for what the client has had already."""
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
                self.plain_text = False
        elif not isinstance(event, _BESIDES):
            self.plain_text = False
        return event

    def _shifted(self, event: Event) -> Event:
        """Renumbers a continuation's event: its text joins the text before."""
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
        """Returns the usage for the client: the continuation's prompt included the text so far, which is output."""
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
    """A stream that is part of a resumable `answer`."""

    __slots__ = ("resumable",)

    def __init__(self, call: Call, decoder: StreamDecoder, resumable: ResumableAnswer, for_client: ForClient) -> None:
        super().__init__(call, decoder, resumable, for_client)
        self.resumable = resumable


class _Continuation(Bridge):
    """A translator whose requests hold the text so far, and whose streams continue it."""

    def __init__(self, resumable: ResumableAnswer, api: Api, dialect: str) -> None:
        super().__init__(api, registry_dialect(dialect), dialect, streams_only=dialect in STREAMS_ONLY)
        self._resumable = resumable

    def _conversation(self, call: Call) -> Conversation:
        return self._resumable.conversation(call)

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return ResumableStream(call, self._decoder(sent), self._resumable.for_stream(), self._for_client(sent))


def only_continuing(opening: Open[OpenedResponse], step: Try, spending: Spending) -> Awaitable[OpenedResponse]:
    """Calls a deployment that can continue a text. Raises ApiError for others."""
    deployment = step.deployment
    if not deployment.capabilities.continues:
        message = f"'{deployment.model}' at '{deployment.provider}' does not continue what another began."
        raise ApiError(400, message, code="unsupported_parameter")
    return opening(step, spending)
