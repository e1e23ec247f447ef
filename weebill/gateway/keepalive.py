"""Keeps silent streams alive, so that no proxy or client takes them for dead.

1. The head waits for the first content, as another upstream may have to answer; but at most for the silence allowed.
2. Then the head is sent, with the attempts so far; later ones are only in the record.
3. From then on a failure is an event in the stream, and a comment follows each silence.
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
# Google's SDKs take every line for data, even comments; but they skip empty lines, in an array as between events.
# Ollama's take every line for JSON, even an empty one; white space before the next line's JSON is a part of it.
_SIGNS: Final = {
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
    "gemini": b"\r\n",
    "ollama": b" ",
    "ollama.generate": b" ",
}
_MAX_INTERVAL_S: Final = 1.0


class KeepAlive:
    """Keeps one stream alive: sends a sign whenever nothing was sent to the client for `silence_s` seconds."""

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
        """Sends a sign if it is time; `now` is the loop's time in seconds."""
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
    """Returns the seconds between two looks."""
    return min(_MAX_INTERVAL_S, silence_s / 8)
