"""Signs of life in the silent phases of a stream, so that nobody on the way takes it for dead.

The head waits for the first content, since another upstream may have to answer; but not for longer than the silence
that is kept to. Then it says who is being asked, and what that one was not told; what comes of it is in the record
alone. From then on a failure is an event inside the stream.
"""

from __future__ import annotations

import asyncio
from typing import Final

from weebill.apis.base import Api
from weebill.gateway.attempting import known_so_far
from weebill.gateway.meter import Meter
from weebill.transport.exchange import Exchange
from weebill.wire.call import Call

_COMMENT: Final = b": keep-alive\n\n"
# Google's SDKs take every line for data, comments too; but pass over empty ones, in an array as between events.
_SIGNS: Final = {
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
    "gemini": b"\r\n",
}
_MAX_INTERVAL_S: Final = 1.0


class KeepAlive:
    """Keeps one stream alive: a sign after each `silence_s` in which the client has been sent nothing."""

    __slots__ = ("_api", "_call", "_exchange", "_meter", "_seen", "_silence_s", "_since")

    def __init__(self, exchange: Exchange, api: Api, call: Call, meter: Meter, silence_s: float) -> None:
        self._exchange = exchange
        self._api = api
        self._call = call
        self._meter = meter
        self._silence_s = silence_s
        self._seen = 0
        self._since = asyncio.get_running_loop().time()

    def sweep(self, now: float) -> None:
        """Give a sign if it is time; `now` is the loop's."""
        exchange = self._exchange
        if exchange.complete:
            return
        if exchange.written != self._seen:
            self._seen = exchange.written
            self._since = now
            return
        if now - self._since < self._silence_s:
            return
        self._since = now
        if not exchange.responded:
            exchange.start(200, self._api.stream_headers(self._call) + known_so_far(self._meter))
        exchange.write_aside(_SIGNS.get(self._api.native, _COMMENT))


def interval_s(silence_s: float) -> float:
    """How often to look."""
    return min(_MAX_INTERVAL_S, silence_s / 8)
