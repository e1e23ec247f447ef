"""What a test of a provider tells, and the shape of the function that makes it.

`weebill.gateway.probe.probe` is one: a one-token call through the provider's own dialect, without a running server.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from msgspec import Struct

_Settings = TypeVar("_Settings", contravariant=True)


class ProbeResult(Struct, frozen=True):
    """How the call went.

    `status` is the HTTP status, None if there was no answer; `message` what happened, in the provider's words where
    there are any; `hint` what to do about it.
    """

    ok: bool
    status: int | None
    latency_ms: int
    message: str
    hint: str = ""


class Probe(Protocol[_Settings]):
    """Makes a one-token call to the provider `name` of the settings; never raises for what the provider does."""

    def __call__(self, name: str, settings: _Settings, /) -> ProbeResult: ...
