"""Bytes passed through where that can be, and translated where it cannot: request by request."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod

from weebill.providers.base import Answer, AnswerCollector, ByteStream, Target, Translator, UpstreamRequest
from weebill.wire.call import Call
from weebill.wire.failure import UpstreamFailure


class TakesSome(metaclass=ABCMeta):
    """A `Translator` that passes bytes through, but not for all that its API can say.

    A class rather than a protocol, whose methods would cost as much to call as most of what they do.
    """

    @abstractmethod
    def takes(self, call: Call, target: Target) -> bool:
        """Tells whether it can pass this one."""

    @abstractmethod
    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """See `Translator`, as for all that follow."""

    @abstractmethod
    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        """An answer."""

    @abstractmethod
    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        """A stream."""

    @abstractmethod
    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        """An answer that comes as a stream."""

    @abstractmethod
    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        """A failure."""


class PartRelay:
    """A `Translator` that passes bytes through where `relay` takes them, and leaves the `rest` to another."""

    def __init__(self, relay: TakesSome, rest: Translator) -> None:
        self._relay = relay
        self._rest = rest

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        if self._relay.takes(call, target):
            return self._relay.encode(call, target)
        return self._rest.encode(call, target)

    def decode(self, call: Call, sent: UpstreamRequest, body: bytes) -> Answer:
        if sent.asked is None:  # written by the relay
            return self._relay.decode(call, sent, body)
        return self._rest.decode(call, sent, body)

    def stream(self, call: Call, sent: UpstreamRequest) -> ByteStream:
        return (self._relay if sent.asked is None else self._rest).stream(call, sent)

    def collect(self, call: Call, sent: UpstreamRequest) -> AnswerCollector | None:
        return (self._relay if sent.asked is None else self._rest).collect(call, sent)

    def error(self, call: Call, status: int, body: bytes, retry_after: float | None, upstream: str) -> UpstreamFailure:
        return self._relay.error(call, status, body, retry_after, upstream)
