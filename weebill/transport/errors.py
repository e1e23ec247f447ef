"""What can go wrong between Weebill and an upstream."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final, Literal

from weebill.wire.errors import ApiError

# What may be told of why there is no connection: the first that holds.
_CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (socket.gaierror, "its name cannot be resolved"),
    (ssl.SSLCertVerificationError, "its certificate is not accepted"),
    (ssl.SSLError, "no secure connection could be made"),
    (ConnectionRefusedError, "it refused the connection"),
)
Phase = Literal["connect", "first_byte", "idle", "total"]
_UNSENT: Final = "unsent"


class UpstreamError(Exception):
    """Base of every failure of an upstream exchange.

    Its text is for the log, and may say where the upstream is; `told` is what of it clients may know.
    """

    def __init__(self, message: str = "", told: str = "") -> None:
        super().__init__(message)
        self.told = told or message


class UpstreamConnectError(UpstreamError):
    """No connection could be made: name resolution, refusal, TLS verification."""

    @classmethod
    def of(cls, way: str, error: Exception) -> UpstreamConnectError:
        """For an `error` on the `way` to an upstream."""
        told = next((told for kind, told in _CAUSES if isinstance(error, kind)), "no connection could be made")
        return cls(f"cannot connect to {way}: {error}", told)


class ProxyRefused(UpstreamConnectError):  # noqa: N818 - named for what happened
    """The proxy on the `way` to the upstream does not lead there; `text` is what it said besides, for the log.

    `told` is what it did where `what` has words of its own.
    """

    def __init__(self, way: str, what: str, text: str = "", told: str = "") -> None:
        super().__init__(f"{way} {what}", f"the way there by a proxy {told or what}")
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


def cancelled_unsent() -> asyncio.CancelledError:
    """For a task that is cancelled before it has sent anything: `unsent` knows it by its argument.

    No class of its own, which `asyncio.timeout` does not take for a cancellation in Python 3.11.
    """
    return asyncio.CancelledError(_UNSENT)


def unsent(failure: BaseException) -> bool:
    """Whether the upstream has seen nothing of a request that ended in `failure` before any answer came."""
    if isinstance(failure, asyncio.CancelledError):
        return failure.args == (_UNSENT,)
    if isinstance(failure, UpstreamTimeout):
        return failure.phase == "connect"
    return isinstance(failure, UpstreamConnectError | PoolFull | ApiError)  # the last where it could not be signed
