"""What can go wrong between Weebill and an upstream."""

from __future__ import annotations

from typing import Literal

Phase = Literal["connect", "first_byte", "idle", "total"]


class UpstreamError(Exception):
    """Base of every failure of an upstream exchange."""


class UpstreamConnectError(UpstreamError):
    """No connection could be made: name resolution, refusal, TLS verification."""


class ProxyRefused(UpstreamConnectError):  # noqa: N818 - named for what happened
    """The proxy on the way to the upstream does not lead there; `text` is what it said besides, for the log."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class UpstreamTimeout(UpstreamError):  # noqa: N818 - named for what happened
    """The upstream was too slow; `phase` says in which part of the exchange."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(f"upstream timed out ({phase})")
        self.phase: Phase = phase


class UpstreamProtocolError(UpstreamError):
    """The upstream's answer is not valid HTTP/1.1 or exceeds a bound."""


class UpstreamCut(UpstreamError):  # noqa: N818 - named for what happened
    """The connection ended before the answer was complete by its own framing."""


class PoolFull(UpstreamError):  # noqa: N818 - named for what happened
    """All connections to this origin are in use and none came free in time."""
