"""The interface of a dialect: pure functions between canonical requests and answers and an upstream's bytes. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from msgspec import Raw, Struct, structs

from weebill.catalog.schema import Quirks as Quirks
from weebill.catalog.traits import NOTHING_SAID, OnUnsupported, Traits
from weebill.providers.fit import Fit
from weebill.providers.fit import Unsupported as Unsupported
from weebill.providers.upstream_request import NOTHING_SENT as NOTHING_SENT
from weebill.providers.upstream_request import UpstreamRequest as UpstreamRequest
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.failure import UpstreamFailure
from weebill.wire.reply import Event, Reply, Usage

# What an upstream that lingers is given after an answer is complete: until its usage has come, and for what may follow.
LINGER_S: Final = 1.5
SETTLE_S: Final = 0.3
# What choices that were asked for are given to begin once all others are complete: not every server has several.
LATE_S: Final = 15.0
JSON: Final = b"content-type: application/json\r\n"
"""The header lines of most answers."""


class Target(Struct, frozen=True, kw_only=True):
    """A deployment as a dialect sees it.

    `model` is the upstream's name for it, `provider` the name that it is configured under. `maker` is whose what is
    opaque of its answers is: the provider's, or its vendor's where any account of that can read it. `options` are the
    provider's settings that are part of a request's path or body, such as Azure's `api_version` or Vertex's `project`;
    `max_output_tokens` is the model's own limit, where known, for APIs that demand one. `traits` are what the model's
    requests may say; `on_unsupported` is what becomes of the rest, unless the request says otherwise. `task`,
    `dimensions` and `static` are of the models of this machine: "chat", "embed" or "rerank", the length of a vector, 0
    for none, and True if vectors are looked up, which takes next to no time. So are `slots`, the number of answers that
    the model works on at once, 0 if that is not known, `defaults`, fields for requests that say nothing of them, and
    `begins`, for a model with a beginning of conversations.
    """

    model: str
    provider: str = ""
    maker: str = ""
    quirks: Quirks = Quirks()
    options: dict[str, str] = {}
    max_output_tokens: int | None = None
    traits: Traits = NOTHING_SAID
    on_unsupported: OnUnsupported = "drop-hints"
    task: str = "chat"
    dimensions: int = 0
    slots: int = 0
    defaults: dict[str, Raw] = {}
    begins: bool = False
    static: bool = False

    def __post_init__(self) -> None:
        if not self.maker:
            structs.force_setattr(self, "maker", self.provider)


class StreamDecoder(Protocol):
    """Reads an upstream's stream."""

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes; it may be split anywhere. Raises UpstreamFailure on an event over the size
        bound or one that cannot be read. After `Failed`, nothing more is to be fed."""

    def finish(self) -> Sequence[Event]:
        """The last events, once the upstream's body is complete. Raises UpstreamFailure if it was cut."""


@runtime_checkable
class SaysWhenOver(Protocol):
    """A decoder of streams that knows its upstream's last event, or what may come when an answer is complete."""

    @property
    def owed_s(self) -> float:
        """As `ByteStream.owed_s`; `inf` where only the answer's own events tell."""


class Dialect(Protocol):
    """Translates for one kind of upstream.

    `family` marks what its models make that is opaque to others (`Origin`); `supported` are the fields of
    Conversation that it can express; the caller drops or refuses the others, as `Fit` has it.
    """

    @property
    def family(self) -> str: ...

    @property
    def supported(self) -> frozenset[str]: ...

    def encode(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest:
        """The request. Tells `fit` of what this target cannot do; raises Unsupported where that is refused."""

    def decode(self, body: bytes) -> Reply:
        """The answer in a whole body with status 200. Raises UpstreamFailure if it holds an error, or is no answer."""

    def stream(self) -> StreamDecoder:
        """A decoder for one stream."""

    def error(self, status: int, body: bytes, upstream: str) -> UpstreamFailure:
        """The failure that an answer with a status other than 200 means; the provider's message is inside."""


class Encode(Protocol):
    """As `Dialect.encode`."""

    def __call__(self, conversation: Conversation, target: Target, fit: Fit, *, stream: bool) -> UpstreamRequest: ...


@dataclass(frozen=True, slots=True)
class DialectFunctions:
    """A `Dialect` as a record of its functions."""

    family: str
    supported: frozenset[str]
    encode: Encode
    decode: Callable[[bytes], Reply]
    stream: Callable[[], StreamDecoder]
    error: Callable[[int, bytes, str], UpstreamFailure]


@dataclass(frozen=True, slots=True)
class RequestReadingFunctions(DialectFunctions):
    """A `Dialect` that `ReadsByRequest`, as a record of its functions."""

    decode_for: Callable[[Conversation, bytes], Reply]
    stream_for: Callable[[Conversation], StreamDecoder]


@runtime_checkable
class ReadsByRequest(Protocol):
    """A dialect that needs to know what was asked to understand what is answered."""

    def decode_for(self, conversation: Conversation, body: bytes) -> Reply:
        """As `Dialect.decode`."""

    def stream_for(self, conversation: Conversation) -> StreamDecoder:
        """As `Dialect.stream`."""


class Answer(Struct, frozen=True, gc=False):
    """A complete answer as the client gets it, and what it used.

    `dropped` names what the upstream said that the client's API has no place for; `headers` are the answer's own header
    lines, each ended by CRLF.
    """

    body: bytes
    usage: Usage
    dropped: tuple[str, ...] = ()
    headers: bytes = JSON


class ByteStream(Protocol):
    """Turns the bytes of an upstream's stream into the bytes of the client's."""

    @property
    def usage(self) -> Usage:
        """The usage so far; measured once the upstream has said so."""

    @property
    def error(self) -> UpstreamFailure | None:
        """Set once the upstream has reported an error inside its stream; nothing more is to be fed."""

    @property
    def begun(self) -> bool:
        """Tells whether any of the answer itself has come; until then, another upstream could still take its place."""

    @property
    def owed_s(self) -> float:
        """The seconds to wait for what may still come: `inf` until the answer is complete, 0 once it is over."""

    def feed(self, data: bytes) -> bytes:
        """The bytes to send on for `data`, b"" if none yet. Raises UpstreamFailure on an event over the size bound."""

    def finish(self) -> bytes:
        """The end of the client's stream, once nothing more will come. Raises UpstreamFailure if it was cut."""


@runtime_checkable
class SaysItsFailure(Protocol):
    """A `ByteStream` whose upstream may say in the client's own format that it failed."""

    @property
    def failed(self) -> bytes:
        """The event that it said it with, b"" if it said none."""


class AnswerCollector(Protocol):
    """Puts an upstream's stream together to one answer."""

    @property
    def usage(self) -> Usage:
        """The usage so far; measured once the upstream has said so."""

    @property
    def error(self) -> UpstreamFailure | None:
        """Set once the upstream has reported an error inside its stream; nothing more is to be fed."""

    @property
    def owed_s(self) -> float:
        """As `ByteStream.owed_s`."""

    def feed(self, data: bytes) -> None:
        """Take in a piece of the stream. Raises UpstreamFailure on an event over the size bound."""

    def finish(self) -> Answer:
        """The answer, once the upstream's body is complete. Raises UpstreamFailure if it was cut."""


class Translator(Protocol):
    """One inbound API to one dialect: what the gateway calls.

    The same API on both sides passes bytes through; any other pair goes by way of the canonical form
    (`weebill.gateway.translation`). `sent` is what `encode` made of the call.
    """

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The request for the upstream. Raises ApiError 400 for what it cannot do, naming the client's field, and
        UpstreamFailure for what it is known to fail at, so that another may be asked."""

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """The answer in a whole body with status 200. Raises UpstreamFailure if there is none in it."""

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        """A decoder for the stream that answers `call`."""

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        """For an upstream that was asked for a stream although the client wants one piece; None for others."""

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        """The failure that an upstream's answer with a status other than 200 means."""
