"""A client: one request, and what came of it."""

from __future__ import annotations

import asyncio
import time
from itertools import chain

import msgspec

from bench.failover.provider import WORDS
from bench.http import Answer, completion_text
from bench.upstream import REPLY_TEXT

_FIRST = b'"content":"' + WORDS[0].encode()


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a client saw while the failing provider was in `mode`.

    `fault` is "" for a good answer, `content` whether a stream had brought any; `begun_s` is until the answer's head,
    `calls` counts those that the gateway made for it.
    """

    mode: str
    stream: bool
    request_id: str
    fault: str
    content: bool
    begun_s: float
    calls: int


async def ask(port: int, key: str, number: int, mode: str, deadline_s: float) -> Seen:
    """One request, on a connection of its own; every second one is for a stream."""
    stream = bool(number % 2)
    answer, head = Answer(), b""
    fault, begun_at, sent_at = "", 0.0, time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(_request(key, number, stream, deadline_s))
            while not answer.complete and (data := await reader.read(65_536)):
                begun_at = begun_at or time.monotonic()
                head += data if b"\r\n\r\n" not in head else b""
                answer.feed(data)
        finally:
            writer.transport.abort()
    except OSError as error:
        fault = f"{type(error).__name__}: {error}"
    body = b"".join(answer.pieces)
    lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    headers = dict(line.split(b": ", 1) for line in lines if line)
    return Seen(
        mode=mode,
        stream=stream,
        request_id=headers.get(b"x-request-id", b"").decode(),
        fault=fault or _fault(answer, body, stream),
        content=stream and _FIRST in body,
        begun_s=(begun_at or time.monotonic()) - sent_at,
        calls=headers.get(b"x-weebill-route", b"").count(b",") + 1,
    )


def _request(key: str, number: int, stream: bool, deadline_s: float) -> bytes:
    question = {"role": "user", "content": f"Question {number}"}
    body = msgspec.json.encode({"model": "m", "messages": [question], "stream": stream})
    lines = (
        "POST /v1/chat/completions HTTP/1.1",
        "host: 127.0.0.1",
        f"authorization: Bearer {key}",
        "content-type: application/json",
        f"x-weebill-timeout: {deadline_s}",
        f"content-length: {len(body)}",
        "connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _fault(answer: Answer, body: bytes, stream: bool) -> str:
    """What is wrong with an answer; empty if nothing is."""
    if answer.status != 200:
        return f"{answer.status} {body[:300].decode(errors='replace')}"
    if not answer.complete:
        return "is not complete"
    try:
        text = _streamed_text(body) if stream else completion_text(body)
    except msgspec.MsgspecError as error:
        return f"{error}: {body[:300].decode(errors='replace')}"
    return "" if text.strip() == REPLY_TEXT else f"ends with {body[-300:].decode(errors='replace')}"


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)


class _Event(msgspec.Struct):
    choices: list[_Choice] = []


_decode_event = msgspec.json.Decoder(_Event).decode


def _streamed_text(body: bytes) -> str:
    """What a stream says; "" if it does not end as a stream ends."""
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    if not events or events[-1] != b"[DONE]":
        return ""
    choices = chain.from_iterable(_decode_event(event).choices for event in events[:-1])
    return "".join(choice.delta.content or "" for choice in choices)
