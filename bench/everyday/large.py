"""The emulated large tier: OpenAI's Chat Completions on loopback, right about all that it has a key for.

It answers by the whole conversation and the tools that are offered. Asked by an audit which of two answers is better,
it judges both by the key: a judge that never errs, which real ones are not.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import msgspec

from bench.everyday.items import Item
from weebill.auto.traits import subject
from weebill.factory.checkers import Answer, right
from weebill.factory.tasks import Message
from weebill.wire.conversation import Conversation, Text, Turn

LATENCY_S: Final = 0.05
_BYTES_PER_TOKEN: Final = 4
_JUDGED: Final = re.compile(
    r"<request>\n(.*?)\n</request>\s*<answer-1>\n(.*?)\n</answer-1>\s*<answer-2>\n(.*?)\n</answer-2>", re.DOTALL
)
_PIECE: Final = re.compile(r"\S+\s*|\s+")
_COMMON: Final = {"id": "chatcmpl-1", "created": 1_700_000_000}


class _Part(msgspec.Struct):
    text: str = ""


class _Said(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(each.text for each in self.content or ())


class _Named(msgspec.Struct):
    name: str


class _Tool(msgspec.Struct):
    function: _Named


class _Asked(msgspec.Struct):
    """A request as the provider gets it."""

    model: str
    messages: list[_Said]
    tools: list[_Tool] = []
    stream: bool = False


asked_of: Final = msgspec.json.Decoder(_Asked).decode
"""Reads a request's body."""

_Key = tuple[tuple[tuple[str, str], ...], tuple[str, ...]]


class Large:
    """The keys, and what was asked: `counts` of answers, judgements and requests that it has no key for."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.counts: Counter[str] = Counter()
        self._items = {_key(item): item for item in items}
        self._subjects = {_subject(item.messages): item for item in reversed(items)}

    def answer(self, asked: _Asked) -> Answer | None:
        """Returns the answer; None if there is no key."""
        judged = _JUDGED.search(asked.messages[-1].text)
        if judged is not None:
            return self._preference(*judged.groups())
        names = tuple(each.function.name for each in asked.tools)
        item = self._items.get((tuple((each.role, each.text) for each in asked.messages), names))
        self.counts["answers" if item else "unknown"] += 1
        return item.answer if item else None

    def _preference(self, request: str, first: str, second: str) -> Answer | None:
        item = self._subjects.get(request)
        self.counts["judgements" if item else "unknown"] += 1
        if item is None:
            return None
        one, other = (is_right(item, Answer(text)) or text == item.answer.text for text in (first, second))
        return Answer("0" if one is other else "1" if one else "2")


def is_right(item: Item, answer: Answer) -> bool:
    """Returns True if the default model's answer is right: it passes the checks, and nobody has found it wrong."""
    return right(item.checks, answer) and not item.misjudged


def tokens(item: Item) -> tuple[int, int]:
    """Returns the tokens of a request and of the large tier's answer, as it counts them."""
    return _count("".join(message.content for message in item.messages)), _count(_written(item.answer))


@contextmanager
def serving(large: Large) -> Iterator[int]:
    """Serves on a port of the system's choice, which is yielded; ends with the block."""

    class Bound(_Handler):
        knows = large

    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _key(item: Item) -> _Key:
    names = tuple(msgspec.json.decode(each, type=_Tool).function.name for each in item.tools)
    return tuple((each.role, each.content) for each in item.messages), names


def _subject(messages: Sequence[Message]) -> str:
    return subject(Conversation(turns=tuple(Turn(each.role, (Text(each.content),)) for each in messages)))


def _count(text: str) -> int:
    return len(text.encode()) // _BYTES_PER_TOKEN + 1


def _written(answer: Answer) -> str:
    return answer.text + "".join(call.name + call.arguments for call in answer.calls)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    knows: Large

    def do_POST(self) -> None:
        asked = asked_of(self.rfile.read(int(self.headers["content-length"])))
        time.sleep(LATENCY_S)
        answer = self.knows.answer(asked)
        if answer is None:
            self._send(400, {"error": {"message": "no key for this", "type": "invalid_request_error"}})
            return
        into, out = _count("".join(each.text for each in asked.messages)), _count(_written(answer))
        usage = {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}
        if asked.stream:
            self._stream(asked.model, answer, usage)
            return
        calls = [
            {"id": f"call_{at}", "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for at, call in enumerate(answer.calls)
        ]
        message = {"role": "assistant", "content": answer.text or None, **({"tool_calls": calls} if calls else {})}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        head = {**_COMMON, "object": "chat.completion", "model": asked.model}
        self._send(200, {**head, "choices": [choice], "usage": usage})

    def _send(self, status: int, body: dict[str, object]) -> None:
        data = msgspec.json.encode(body)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, model: str, answer: Answer, usage: dict[str, int]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        head = {**_COMMON, "object": "chat.completion.chunk", "model": model}
        deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in _PIECE.findall(answer.text)]
        for delta in deltas:
            self._event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._event({**head, "choices": [], "usage": usage})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _event(self, body: dict[str, object]) -> None:
        self._chunk(b"data: %b\n\n" % msgspec.json.encode(body))

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing."""
