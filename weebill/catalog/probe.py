"""The result of testing a provider, and the type of the function that does.

`weebill.gateway.probe.probe` makes a one-token call through the provider's own dialect, without a running server.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from msgspec import Struct

_Settings = TypeVar("_Settings", contravariant=True)
_Own = TypeVar("_Own")


class ProbeResult(Struct, frozen=True):
    """The result of the call.

    `status` is the HTTP status, None if there was no answer; `message` is the outcome, in the provider's words if it
    sent any; `hint` is the remedy.
    """

    ok: bool
    status: int | None
    latency_ms: int
    message: str
    hint: str = ""


class ProbeTask(Struct, Generic[_Own], frozen=True):
    """The task of a process that makes the call, on its standard input: the provider's name, and settings with its key.

    It answers with a `ProbeResult`.
    """

    provider: str
    settings: _Own


class Probe(Protocol[_Settings]):
    """Makes a one-token call to the provider `name` of the settings; raises nothing for what the provider does."""

    def __call__(self, name: str, settings: _Settings, /) -> ProbeResult: ...
