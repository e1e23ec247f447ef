"""What a dialect is: pure functions between canonical requests and answers and an upstream's bytes. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.errors import ApiError
from weebill.wire.reply import Event, Reply, Usage


class Quirks(Struct, frozen=True, kw_only=True):
    """Where an OpenAI-compatible provider differs from OpenAI, as data; names are those of the Chat Completions API.

    `rename` maps a request field to this provider's name for it. `refuse` names fields that it answers with an error,
    those of a message for reasoning among them. `reasoning_field` is where its messages carry reasoning text; with
    "content" that is a piece of type `thinking`, as Mistral has it. `stream_usage` is False where `stream_options` is
    refused. `short_call_ids` is True where a tool call's id must have nine letters or digits.
    """

    rename: dict[str, str] = {}
    refuse: tuple[str, ...] = ()
    reasoning_field: str = "reasoning_content"
    stream_usage: bool = True
    short_call_ids: bool = False


class Target(Struct, frozen=True, kw_only=True):
    """A deployment as a dialect sees it.

    `model` is the upstream's name for it; `options` are the provider's settings that are part of a request's path or
    body, such as Azure's `api_version` or Vertex's `project`; `max_output_tokens` is the model's own limit, where
    known, for APIs that demand one.
    """

    model: str
    provider: str = ""
    quirks: Quirks = Quirks()
    options: dict[str, str] = {}
    max_output_tokens: int | None = None


class UpstreamRequest(Struct, frozen=True):
    """A POST: `path` below the provider's base URL, with query; `headers` are lines, each ended by CRLF.

    Without `host`, credentials and framing, which are put in where the request is sent.
    """

    path: bytes
    body: bytes
    headers: bytes = b"content-type: application/json\r\n"


class Unsupported(Exception):  # noqa: N818 - not an error of ours
    """A target cannot do what the request asks.

    `field` is a field of Conversation, or the name of an entry of `extra`; `what` completes "does not support".
    """

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")
        self.field = field
        self.what = what


class StreamDecoder(Protocol):
    """Reads an upstream's stream."""

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes; it may be split anywhere. Raises ApiError 502 on an event over the size
        bound or one that cannot be read. After `Failed`, nothing more is to be fed."""

    def finish(self) -> Sequence[Event]:
        """The last events, once the upstream's body is complete. Raises ApiError 502 if it was cut."""


class Dialect(Protocol):
    """Translates for one kind of upstream.

    `family` marks what its models make that is opaque to others (`Origin`); `supported` are the fields of
    Conversation that it can express; the caller refuses the others, or drops them where the request says so.
    """

    family: str
    supported: frozenset[str]

    def encode(self, conversation: Conversation, target: Target, *, stream: bool) -> UpstreamRequest:
        """The request. Raises Unsupported for a value of a supported field that this target cannot do."""

    def decode(self, body: bytes) -> Reply:
        """The answer in a whole body with status 200. Raises ApiError if it holds an error, 502 if it is no answer."""

    def stream(self) -> StreamDecoder:
        """A decoder for one stream."""

    def error(self, status: int, body: bytes, upstream: str) -> ApiError:
        """What the client is told of an answer with a status other than 200; the provider's message is inside."""


@runtime_checkable
class ReadsByRequest(Protocol):
    """A dialect that needs to know what was asked to understand what is answered."""

    def stream_for(self, conversation: Conversation) -> StreamDecoder: ...


class Answer(Struct, frozen=True, gc=False):
    """A complete answer as the client gets it, and what it used."""

    body: bytes
    usage: Usage


class ByteStream(Protocol):
    """Turns the bytes of an upstream's stream into the bytes of the client's."""

    @property
    def usage(self) -> Usage:
        """What has been used so far; measured once the upstream has said so."""

    @property
    def error(self) -> ApiError | None:
        """Set once the upstream has reported an error inside its stream; nothing more is to be fed."""

    @property
    def begun(self) -> bool:
        """Whether any of the answer itself has come; until then, another upstream's could still take its place."""

    def feed(self, data: bytes) -> bytes:
        """What to send on for `data`, b"" if nothing yet. Raises ApiError on an event over the size bound."""

    def finish(self) -> bytes:
        """The end of the client's stream, once the upstream's body is complete. Raises ApiError if it was cut."""


class AnswerCollector(Protocol):
    """Puts an upstream's stream together to one answer."""

    @property
    def usage(self) -> Usage:
        """What has been used so far; measured once the upstream has said so."""

    @property
    def error(self) -> ApiError | None:
        """Set once the upstream has reported an error inside its stream; nothing more is to be fed."""

    def feed(self, data: bytes) -> None:
        """Take in a piece of the stream. Raises ApiError on an event over the size bound."""

    def finish(self) -> Answer:
        """The answer, once the upstream's body is complete. Raises ApiError if it was cut."""


class Translator(Protocol):
    """One inbound API to one dialect: what the gateway calls.

    The same API on both sides passes bytes through; any other pair goes by way of the canonical form
    (`weebill.gateway.translation`).
    """

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The request for the upstream. Raises ApiError 400 for what it cannot do, naming the client's field."""

    def decode(self, call: Call, body: bytes) -> Answer:
        """The answer in a whole body with status 200. Raises ApiError 502 if there is none in it."""

    def stream(self, call: Call) -> ByteStream:
        """A decoder for the stream that answers `call`."""

    def collect(self, call: Call) -> AnswerCollector | None:
        """For an upstream that was asked for a stream although the client wants one piece; None for others."""

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> ApiError:
        """What the client is told of an upstream's answer with a status other than 200."""
