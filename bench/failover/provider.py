"""A provider that fails as it is told. `python -m bench.failover.provider PORT`; its standard input says the modes.

Every second request of a mode with two faces gets the other one: a cut before any content and one after some, an answer
that is not HTTP and one that is not JSON.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Final, Literal, get_args

import msgspec

from bench.upstream import COMPLETION, REPLY_TEXT

Mode = Literal["well", "hang", "500", "429", "cut", "garbage"]

WORDS: Final = tuple(f"{word} " for word in REPLY_TEXT.split())
_PER_EVENT: Final = 4
_ANSWER_S: Final = 0.02
_EVENT_S: Final = 0.003
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\n"
_ERROR: Final = b'{"error":{"message":"As told.","type":"server_error","code":null,"param":null}}'
_STREAM_HEAD: Final = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"
_JSON_HEAD: Final = _HEAD % b"application/json"
_BASE: Final = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m"}
_USAGE: Final = {"prompt_tokens": 56, "completion_tokens": len(WORDS), "total_tokens": 56 + len(WORDS)}


class _Request(msgspec.Struct):
    stream: bool = False


def _chunk(data: bytes) -> bytes:
    return b"%x\r\ndata: %s\n\n\r\n" % (len(data) + 8, data)


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _chunk(msgspec.json.encode(_BASE | {"choices": [choice]}))


_ROLE: Final = _event({"role": "assistant", "content": ""})
_CONTENT: Final = tuple(
    _event({"content": "".join(WORDS[at : at + _PER_EVENT])}) for at in range(0, len(WORDS), _PER_EVENT)
)
_END: Final = (
    _event({}, "stop")
    + _chunk(msgspec.json.encode(_BASE | {"choices": [], "usage": _USAGE}))
    + _chunk(b"[DONE]")
    + b"0\r\n\r\n"
)


class _Provider:
    def __init__(self) -> None:
        self.mode: Mode = "well"
        self._count = 0
        self._ways: dict[Mode, Callable[[asyncio.StreamWriter, bool], Awaitable[None]]] = {
            "well": self._well,
            "hang": self._hang,
            "500": self._refuse,
            "429": self._limit,
            "cut": self._cut,
            "garbage": self._garbage,
        }

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                body = await reader.readexactly(length)
                self._count += 1
                await self._ways[self.mode](writer, msgspec.json.decode(body, type=_Request).stream)
                await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()

    async def _well(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        await asyncio.sleep(_ANSWER_S)
        if not stream:
            writer.write(_JSON_HEAD + b"content-length: %d\r\n\r\n" % len(COMPLETION) + COMPLETION)
            return
        writer.write(_STREAM_HEAD + _ROLE)
        for event in _CONTENT:
            writer.write(event)
            await asyncio.sleep(_EVENT_S)
        writer.write(_END)

    async def _hang(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        await asyncio.sleep(3600)

    async def _refuse(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        self._error(writer, b"500 Internal Server Error", b"")

    async def _limit(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        self._error(writer, b"429 Too Many Requests", b"retry-after: 1\r\n")

    def _error(self, writer: asyncio.StreamWriter, status: bytes, headers: bytes) -> None:
        writer.write(b"HTTP/1.1 %s\r\ncontent-type: application/json\r\n%b" % (status, headers))
        writer.write(b"content-length: %d\r\n\r\n%b" % (len(_ERROR), _ERROR))

    async def _cut(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        await asyncio.sleep(_ANSWER_S)
        if not stream:
            writer.write(_JSON_HEAD + b"content-length: %d\r\n\r\n" % len(COMPLETION) + COMPLETION[:100])
        else:
            writer.write(_STREAM_HEAD + _ROLE)
            if self._count % 2:
                writer.writelines(_CONTENT[:3])
        await writer.drain()
        await asyncio.sleep(_EVENT_S)
        raise EOFError

    async def _garbage(self, writer: asyncio.StreamWriter, stream: bool) -> None:
        if self._count % 2:
            writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        elif stream:
            writer.write(_STREAM_HEAD + _chunk(b'{"choices": [') + b"0\r\n\r\n")
        else:
            writer.write(_JSON_HEAD + b"content-length: 13\r\n\r\n" + b'{"choices": [')


async def _serve(port: int) -> None:
    provider = _Provider()

    def told() -> None:
        line = sys.stdin.readline().strip()
        if not line:
            raise SystemExit
        provider.mode = next(mode for mode in get_args(Mode) if mode == line)

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), told)
    server = await asyncio.start_server(provider.connected, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
