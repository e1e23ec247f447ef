"""Types of what a relay reads of Anthropic's answers."""

from __future__ import annotations

from msgspec import Raw, Struct

from weebill.providers.anthropic import decode as decoding
from weebill.wire.anthropic_usage import UsageReport


class RelayedMessage(Struct, frozen=True):
    """The part of a message that is read, and nothing that need not be as it is today."""

    content: Raw = Raw()
    model: str | None = None
    usage: UsageReport | None = None
    error: decoding.UpstreamError | str | None = None
    id: str | None = None
    type: str | None = None
    role: str | None = None
    stop_reason: str | None = None


class DeltaHead(Struct, frozen=True):
    """The part of a delta that is read."""

    type: str | None = None
    stop_reason: str | None = None


class RelayedEvent(Struct, frozen=True):
    """The part of an event that is read."""

    type: str = ""
    message: RelayedMessage | None = None
    delta: DeltaHead | None = None
    usage: UsageReport | None = None
    error: decoding.UpstreamError | str | None = None


class BlockHead(Struct, frozen=True):
    """The head of a block that begins, with the members that it should have by then."""

    type: str | None = None
    id: Raw = Raw()
    text: Raw = Raw()
    thinking: Raw = Raw()
    signature: Raw = Raw()
    input: Raw = Raw()


class EventHead(Struct, frozen=True):
    """The part of an event by which it finds its place among the others."""

    type: str = ""
    index: int | None = None
    content_block: Raw = Raw()
    delta: Raw = Raw()
    message: Raw = Raw()
    usage: Raw = Raw()
