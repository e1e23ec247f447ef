"""Server-sent events as OpenAI streams them.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from weebill.wire.errors import ApiError

DONE = b"data: [DONE]\n\n"
HEADERS = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"


def event(data: bytes) -> bytes:
    """One event with `data`, which holds no line break."""
    return b"data: " + data + b"\n\n"


def error_event(error: ApiError) -> bytes:
    """The event that ends a stream that failed."""
    return event(error.body())


def event_data(block: bytes) -> bytes:
    """The data of one event block (without its blank line): its `data:` lines joined; b"" for a comment."""
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
