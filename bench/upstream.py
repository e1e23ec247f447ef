"""A streaming upstream that sends far faster than a gateway relays. `python -m bench.upstream PORT`.

A request says in its last message what it wants: `[[chunks=200 every_ms=0 per_write=8]]`. Each event is one
HTTP chunk of some 200 bytes, as engines send them. `status=500` asks for an error instead, and
`cut_after=N` for a connection that breaks off after N events.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

import httptools
import msgspec
import uvloop

MARKER = b" lorem"  # once in every chunk's text, so that what was relayed can be counted
REPLY_TEXT = (
    "Keep a small notebook by the window, watch for ten minutes each morning, and learn two new names a week "
    "from a field guide with large pictures of the common birds."
)

_COMMON = {"id": "chatcmpl-bench", "created": 1700000000, "model": "bench", "system_fingerprint": "fp_bench"}
_USAGE = {"prompt_tokens": 56, "completion_tokens": 44, "total_tokens": 100}

COMPLETION = msgspec.json.encode(
    _COMMON
    | {
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": REPLY_TEXT, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    }
)

_ASK = re.compile(rb"\[\[([a-z_=0-9 ]+)\]\]")
_HEAD = b"HTTP/1.1 %s\r\ncontent-type: %s\r\n"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a request wants; `every_ms` 0 means as fast as the reader takes it, `per_write` events at a time."""

    chunks: int = 20
    every_ms: int = 0
    per_write: int = 1
    status: int = 200
    cut_after: int = 0

    def text(self) -> str:
        """To be put in the request's last message."""
        return "[[" + " ".join(f"{name}={value}" for name, value in msgspec.structs.asdict(self).items()) + "]]"

    @classmethod
    def parse(cls, body: bytes) -> Ask:
        found = _ASK.search(body)
        words = found[1].decode().split() if found else []
        return cls(**{name: int(value) for name, _, value in (word.partition("=") for word in words)})


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Request(msgspec.Struct):
    stream: bool = False
    stream_options: _StreamOptions | None = None


_decode_request = msgspec.json.Decoder(_Request).decode


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(choices: list[dict[str, object]], usage: dict[str, int] | None = None) -> bytes:
    chunk = _COMMON | {"object": "chat.completion.chunk", "choices": choices} | ({"usage": usage} if usage else {})
    return _http_chunk(b"data: %s\n\n" % msgspec.json.encode(chunk))


def _delta(word: str, finish_reason: str | None = None) -> bytes:
    content = f"{MARKER.decode()} {word}"
    return _event([{"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}])


# Neighbours differ (a model that repeats itself makes LiteLLM give up) and are of one length, so that any
# run of them is a slice of the ring.
_WORDS = ("ipsum", "dolor", "amets", "elite", "nulla", "massa", "velit", "augue")
_CHUNK_BYTES = len(_delta(_WORDS[0]))
_MOST_PER_WRITE = 64
_RING = b"".join(map(_delta, _WORDS)) * (_MOST_PER_WRITE // len(_WORDS) + 1)
_LAST_CHUNK = _delta(_WORDS[0], "stop")
_USAGE_CHUNK = _event([], _USAGE)
_END = _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def _run(at: int, count: int) -> bytes:
    """`count` chunks in a row, beginning anywhere."""
    start = at % len(_WORDS) * _CHUNK_BYTES
    return _RING[start : start + count * _CHUNK_BYTES]


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._writable = True
        self._left = 0
        self._ask = Ask()
        self._end = _END
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._transport.set_write_buffer_limits(high=262_144)

    def connection_lost(self, error: Exception | None) -> None:
        self._left = 0
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if not self._ask.every_ms:
            self._pump()

    def on_body(self, piece: bytes) -> None:
        self._body.append(piece)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        request = _decode_request(body)
        ask = self._ask = Ask.parse(body)
        if ask.status != 200:
            self._answer(b"%d Asked For" % ask.status, b'{"error":{"message":"asked for","type":"server_error"}}')
        elif not request.stream:
            self._answer(b"200 OK", COMPLETION)
        else:
            wants_usage = request.stream_options is not None and request.stream_options.include_usage
            self._end = _LAST_CHUNK + (_USAGE_CHUNK if wants_usage else b"") + _END
            self._left = ask.chunks - 1
            self._transport.write(_HEAD % (b"200 OK", b"text/event-stream") + b"transfer-encoding: chunked\r\n\r\n")
            if ask.every_ms:
                self._tick()
            else:
                self._pump()

    def _answer(self, status: bytes, body: bytes) -> None:
        head = _HEAD % (status, b"application/json")
        self._transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)

    def _tick(self) -> None:
        """One event now, the next one `every_ms` later."""
        if self._ask.cut_after and self._ask.chunks - 1 - self._left >= self._ask.cut_after:
            self._transport.abort()
        elif self._left:
            self._transport.write(_run(self._left, 1))
            self._left -= 1
            self._timer = self._loop.call_later(self._ask.every_ms / 1000, self._tick)
        else:
            self._transport.write(self._end)

    def _pump(self) -> None:
        """As many events as the reader takes."""
        while self._writable and self._left:
            count = min(self._left, self._ask.per_write, _MOST_PER_WRITE)
            self._transport.write(_run(self._left, count))
            self._left -= count
            if not self._left:
                self._transport.write(self._end)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port, backlog=8192)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
