"""What a dialect is: four pure functions between the gateway's calls and an upstream's bytes. No I/O."""

from __future__ import annotations

from typing import Protocol

import msgspec

from weebill.wire.errors import ApiError
from weebill.wire.requests import Call


class Usage(msgspec.Struct, frozen=True):
    """Tokens that a call used; `cached_tokens` is a subset of `prompt_tokens`.

    `measured` is False where the upstream did not say and the counts are estimates.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    measured: bool = False


class Answer(msgspec.Struct, frozen=True):
    """A complete answer as the client gets it, and what it used."""

    body: bytes
    usage: Usage


class StreamDecoder(Protocol):
    """Turns the bytes of an upstream's stream into the bytes of the client's."""

    @property
    def usage(self) -> Usage:
        """What has been used so far; measured once the upstream has said so."""

    @property
    def error(self) -> ApiError | None:
        """Set once the upstream has reported an error inside its stream; nothing more is to be fed."""

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


class Dialect(Protocol):
    """Translates for one kind of upstream."""

    def encode(self, call: Call, model: str) -> bytes:
        """The body that asks the upstream's `model` for `call`. Raises ApiError 400 for what it cannot do."""

    def decode(self, call: Call, body: bytes) -> Answer:
        """The answer in a whole body with status 200. Raises ApiError 502 if there is none in it."""

    def stream(self, call: Call) -> StreamDecoder:
        """A decoder for the stream that answers `call`."""

    def collect(self, call: Call) -> AnswerCollector | None:
        """For an upstream that was asked for a stream although the client wants one piece; None for others."""

    def error(self, call: Call, status: int, body: bytes, retry_after: int | None, upstream: str) -> ApiError:
        """What the client is told of an upstream's answer with a status other than 200."""
