"""Requests that are worked on, between the thread of the work and the loop of the connections."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

# Bytes of a stream that its client has not taken; more, and it counts as gone.
_MOST_UNSENT: Final = 16 << 20
_encode: Final = msgspec.json.encode


class RefusedError(Exception):
    """A request that is not served: its status, and what llama.cpp's server says with it.

    `kind` is the error's type. `param` is the field at fault, None if it is not known; `more` are further members.
    """

    def __init__(
        self, status: int, message: str, kind: str, param: str | None = None, more: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param
        self.more = more or {}

    def body(self) -> bytes:
        """Returns the error as llama.cpp's server writes it, with the field at fault, which that never names."""
        error: dict[str, object] = {"code": self.status, "message": str(self), "type": self.kind}
        if self.param is not None:
            error["param"] = self.param
        return _encode({"error": {**error, **self.more}})

    @classmethod
    def invalid(cls, message: str, param: str | None = None) -> RefusedError:
        """A request that is not as it must be."""
        return cls(400, message, "invalid_request_error", param)

    @classmethod
    def too_long(cls, message: str, tokens: int, context: int) -> RefusedError:
        """A prompt of more tokens than the context has."""
        more = {"n_prompt_tokens": tokens, "n_ctx": context}
        return cls(400, message, "exceed_context_size_error", more=more)

    @classmethod
    def failed(cls) -> RefusedError:
        """A request at which the engine failed; its log says how."""
        return cls(500, "The engine failed at this request.", "server_error")


class Head(msgspec.Struct, frozen=True):
    """The beginning of an answer; `length` is that of its body in bytes, None for one that comes bit by bit."""

    status: int
    content_type: str
    length: int | None = None


Piece = Head | bytes | None
"""A part of an answer: its head, then what it says, then None for its end."""


class Job:
    """A request to `path` with `body`. The thread of the work answers, and the loop passes on what it says.

    An answer is one `answer`, or one `refuse`, or any number of `stream` and then `end`. `left` becomes True when the
    client is gone: whatever is said then is passed over, but the job must still end.
    """

    def __init__(self, path: str, body: bytes) -> None:
        self.path = path
        self.body = body
        self.left = False
        self.done = False
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[Piece] = deque()
        self._news = asyncio.Event()
        # Each is written by one thread alone.
        self._said = self._passed_on = 0
        self._begun = False

    def answer(self, body: bytes) -> None:
        """Answers with a JSON text, all of it."""
        self._say(Head(200, "application/json", len(body)), body, None)

    def stream(self, data: bytes) -> None:
        """Sends an event; the first one begins the answer."""
        event = b"data: " + data + b"\n\n"
        if self._begun:
            self._say(event)
        else:
            self._say(Head(200, "text/event-stream"), event)

    def end(self) -> None:
        """Ends a stream, which may be empty."""
        if self._begun:
            self._say(None)
        else:
            self._say(Head(200, "text/event-stream"), None)

    def refuse(self, error: RefusedError) -> None:
        """Answers with an error; in a stream that has begun, it is an event."""
        if self._begun:
            self.stream(error.body())
            self.end()
        else:
            body = error.body()
            self._say(Head(error.status, "application/json", len(body)), body, None)

    def leave(self) -> None:
        """Says that the client is gone, in the loop: there is nothing more to pass on."""
        self.left = True
        self._heard((None,))

    async def piece(self) -> Piece:
        """Returns the next part of the answer, in the loop."""
        while not self._pieces:
            self._news.clear()
            await self._news.wait()
        piece = self._pieces.popleft()
        if isinstance(piece, bytes):
            self._passed_on += len(piece)
        return piece

    def _say(self, *pieces: Piece) -> None:
        self._begun = True
        self._said += sum(len(piece) for piece in pieces if isinstance(piece, bytes))
        if pieces[-1] is None:
            self.done = True
        elif self._said - self._passed_on > _MOST_UNSENT:
            self.left = True
        self._loop.call_soon_threadsafe(self._heard, pieces)

    def _heard(self, pieces: tuple[Piece, ...]) -> None:
        if not self.left or None in pieces:
            self._pieces.extend(pieces)
        self._news.set()
