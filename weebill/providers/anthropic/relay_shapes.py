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


class RelayedDelta(Struct, frozen=True):
    stop_reason: str | None = None


class RelayedEvent(Struct, frozen=True):
    """The part of an event that is read."""

    type: str = ""
    message: RelayedMessage | None = None
    delta: RelayedDelta | None = None
    usage: UsageReport | None = None
    error: decoding.UpstreamError | str | None = None


class DeltaHead(Struct, frozen=True):
    type: str = ""


class EventHead(Struct, frozen=True):
    type: str = ""
    index: int = 0
    delta: DeltaHead = DeltaHead()
