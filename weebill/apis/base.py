"""The interface of an inbound API: reads its requests and writes its answers. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol, runtime_checkable

from weebill.wire.call import Call
from weebill.wire.conversation import Citation, Conversation, Part
from weebill.wire.errors import ApiError
from weebill.wire.reply import Event, Reply

Unsaid = Mapping[type[Part] | type[Citation], str]
"""Kinds of an answer's parts, or citations, by what they are called."""
ALL_SAID: Final[Unsaid] = {}
"""For an API that has a place for every part of an answer."""


class StreamEncoder(Protocol):
    """Writes one answer's events as the bytes of the client's stream."""

    def feed(self, events: list[Event]) -> bytes:
        """The bytes to send for `events`, b"" if none. Never given `Failed` or `PassedOver`."""

    def finish(self) -> bytes:
        """The end of a complete stream: whatever closes open parts, then the API's own end marker."""

    def fail(self, error: ApiError) -> bytes:
        """The end of a stream that has begun and failed."""


@runtime_checkable
class KeepsResponse(Protocol):
    """A stream that knows the whole of what it said, in the Responses API's form: `b""` if it does not."""

    @property
    def response(self) -> bytes: ...


@runtime_checkable
class ShowsFirstChoices(Protocol):
    """An API, or its stream, that has so many choices in an answer at most: it shows the first, and none besides."""

    most_choices: int


def is_beyond(choice: int, shown_by: object) -> bool:
    """True for a choice that an API, or its stream, does not show."""
    return isinstance(shown_by, ShowsFirstChoices) and choice >= shown_by.most_choices


class Wordless(NamedTuple):
    """A request that says nothing to its model: it `loads` it, or lets it go; `body` answers it."""

    body: bytes
    loads: bool


@runtime_checkable
class LoadsModels(Protocol):
    """An API that has such requests."""

    def without_words(self, call: Call) -> Wordless | None:
        """The request as such a one; None for all others. Raises ApiError 400."""


class Api(Protocol):
    """One inbound API.

    `name` is the endpoint that its requests are metered under; `native` names the wire format ("openai.chat",
    "openai.responses", "anthropic", "gemini"): a dialect that speaks the same passes bytes through. `headers` are the
    client's headers (lower case) that belong to the request, such as `anthropic-beta`. `unsaid` is what of an answer
    it has no place for.
    """

    name: str
    native: str
    headers: frozenset[bytes]
    unsaid: Unsaid

    def decode(self, body: bytes, headers: Mapping[bytes, bytes], tail: str) -> Call:
        """The call in a request. `tail` is what follows the endpoint's path, decoded, query included.

        Raises ApiError 400 that names the field.
        """

    def conversation(self, call: Call) -> Conversation:
        """The request in canonical form. Raises ApiError 400, naming the field, for what no target can be asked."""

    def fields(self) -> Mapping[str, str]:
        """For each field of Conversation, the name that this API gives it, for errors."""

    def answer(self, call: Call, reply: Reply) -> bytes:
        """The body of a complete answer."""

    def stream_headers(self, call: Call) -> bytes:
        """The header lines of the stream that answers `call`, each ended by CRLF."""

    def stream(self, call: Call) -> StreamEncoder:
        """A writer for the stream that answers `call`."""

    def error_body(self, error: ApiError) -> bytes:
        """An error's body in this API's format."""

    def error_event(self, error: ApiError) -> bytes:
        """The bytes that end a stream that was passed through as it came, and failed."""
