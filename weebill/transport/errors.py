"""Failures between Weebill and an upstream."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final, Literal

from weebill.wire.errors import ApiError

# The public reason for a failed connection; the first that matches counts.
_CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (socket.gaierror, "its name cannot be resolved"),
    (ssl.SSLCertVerificationError, "its certificate is not accepted"),
    (ssl.SSLError, "no secure connection could be made"),
    (ConnectionRefusedError, "it refused the connection"),
)
Phase = Literal["connect", "first_byte", "idle", "total"]
_UNSENT: Final = "unsent"


class UpstreamError(Exception):
    """Base of every failure of an exchange with an upstream.

    Its text is for the log, and may contain the upstream's address; `public_message` is for clients.
    """

    def __init__(self, message: str = "", told: str = "") -> None:
        super().__init__(message)
        self.public_message = told or message


class UpstreamConnectError(UpstreamError):
    """No connection could be made: name resolution, refusal, TLS verification."""

    @classmethod
    def of(cls, way: str, error: Exception) -> UpstreamConnectError:
        """Returns the failure for an `error` on the `way` to an upstream."""
        told = next((told for kind, told in _CAUSES if isinstance(error, kind)), "no connection could be made")
        return cls(f"cannot connect to {way}: {error}", told)


class ProxyRefused(UpstreamConnectError):  # noqa: N818 - named for what happened
    """The proxy on the `way` to the upstream does not connect; `text` is its explanation, for the log.

    `told` replaces `what` in the message for clients.
    """

    def __init__(self, way: str, what: str, text: str = "", told: str = "") -> None:
        super().__init__(f"{way} {what}", f"the way there by a proxy {told or what}")
        self.text = text


class UpstreamTimeout(UpstreamError):  # noqa: N818 - named for what happened
    """The upstream was too slow; `phase` is the part of the exchange."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(f"upstream timed out ({phase})")
        self.phase: Phase = phase


class UpstreamProtocolError(UpstreamError):
    """The upstream's answer is not valid HTTP/1.1, or exceeds a bound."""


class UpstreamCut(UpstreamError):  # noqa: N818 - named for what happened
    """The connection ended before the answer was complete by its own framing."""


class UpstreamLost(UpstreamCut):
    """The upstream closed the connection before its answer was complete."""


class PoolFull(UpstreamError):  # noqa: N818 - named for what happened
    """All connections to this origin are in use, and none came free in time."""


def cancelled_unsent() -> asyncio.CancelledError:
    """Returns the exception for a task that is cancelled before it has sent anything, which `unsent` recognises.

    It has no class of its own, as `asyncio.timeout` in Python 3.11 would not take that for a cancellation.
    """
    return asyncio.CancelledError(_UNSENT)


def unsent(failure: BaseException) -> bool:
    """True if the upstream has seen nothing of a request that ended in `failure` before any answer came."""
    if isinstance(failure, asyncio.CancelledError):
        return failure.args == (_UNSENT,)
    if isinstance(failure, UpstreamTimeout):
        return failure.phase == "connect"
    return isinstance(failure, UpstreamConnectError | PoolFull | ApiError)  # ApiError if it could not be signed
