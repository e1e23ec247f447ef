"""HTTP as the load generator needs it: request bytes out, checked answers in."""

from __future__ import annotations

import httptools
import msgspec

STREAM_END = b"data: [DONE]"

# A chat request of about 330 bytes; `{ask}` tells the streaming upstream what to send (see bench/upstream.py).
_SYSTEM = "You are a helpful assistant who answers in one short and friendly paragraph of plain text."
_USER = "What is a good way to learn the names of the birds that visit my garden in the winter? "


def chat_request(
    *, port: int, path: str, model: str, headers: dict[str, str], ask: str = "", stream: bool = False
) -> bytes:
    """One whole HTTP/1.1 request, ready to be written again and again."""
    body = msgspec.json.encode(
        {
            "model": model,
            "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER + ask}],
            "temperature": 0.7,
            "max_tokens": 256,
        }
        | ({"stream": True} if stream else {"user": "bench"})
    )
    lines = {
        "host": f"127.0.0.1:{port}",
        "content-type": "application/json",
        "content-length": str(len(body)),
    } | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Answer:
    """An incremental reader of one response on a keep-alive connection; collects the body's pieces."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.complete = False
        self._parser = httptools.HttpResponseParser(self)

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.complete = True

    def feed(self, data: bytes) -> None:
        """Raises `httptools.HttpParserError` on bytes that are not HTTP."""
        self._parser.feed_data(data)

    @property
    def status(self) -> int:
        """0 until the status line is complete."""
        return int(self._parser.get_status_code())


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Completion(msgspec.Struct):
    choices: list[_Choice]


_decode_completion = msgspec.json.Decoder(_Completion).decode


def completion_text(body: bytes) -> str:
    """The first choice's text; raises `msgspec.DecodeError` if this is no chat completion."""
    return _decode_completion(body).choices[0].message.content or ""
