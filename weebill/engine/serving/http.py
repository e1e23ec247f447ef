"""HTTP for an engine that is written in Python: who may ask, how much, and what becomes of it if the client leaves.

An ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html). Paths, errors and the answer to `/health`
are those of llama.cpp's server (https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from weebill.engine.serving.jobs import Head, Job, RefusedError
from weebill.engine.serving.work import WorkLoop

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

# The gateway takes no larger ones, unless it is configured to.
_MOST_BODY: Final = 64 << 20
# Seconds without a piece of a body.
_BODY_TIMEOUT_S: Final = 60.0
_HEALTHY: Final = b'{"status":"ok"}'


class Application:
    """Passes the requests for `paths` to the work, at most `most` at a time; `open` is the number of those."""

    def __init__(self, work: WorkLoop, paths: Collection[str], most: int, api_key: str) -> None:
        self._work = work
        self._paths = frozenset(paths)
        self._most = most
        self._authorization = f"Bearer {api_key}".encode()
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            if scope["path"] == "/health":
                await _send_whole(send, 200, _HEALTHY)
                return
            self._require_key(scope)
            if scope["path"] not in self._paths or scope["method"] != "POST":
                raise RefusedError(404, "There is no such endpoint.", "not_found_error")
            if self.open >= self._most:
                raise RefusedError(503, "As many requests as may wait do already.", "unavailable_error")
            self.open += 1
            try:
                await self._serve(scope, receive, send)
            finally:
                self.open -= 1
        except RefusedError as error:
            await _send_whole(send, error.status, error.body())

    def _require_key(self, scope: Scope) -> None:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if not hmac.compare_digest(given, self._authorization):
            raise RefusedError(401, "Invalid API Key", "authentication_error")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            return
        job = Job(scope["path"], body)
        self._work.submit(job)
        leaving = asyncio.create_task(self._watch(receive, job))
        try:
            await _pass_on(job, send)
        finally:
            leaving.cancel()
            if not job.done:
                self._work.leave(job)

    async def _watch(self, receive: Receive, job: Job) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._work.leave(job)


async def _read(receive: Receive) -> bytes | None:
    """Returns a request's body, None if its client left. Raises RefusedError for one that is too large or too slow."""
    body = bytearray()
    while True:
        try:
            async with asyncio.timeout(_BODY_TIMEOUT_S):
                message = await receive()
        except TimeoutError:
            raise RefusedError(408, "The body did not come.", "invalid_request_error") from None
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > _MOST_BODY:
            raise RefusedError(413, f"The body has more than {_MOST_BODY:,} bytes.", "invalid_request_error")
        if not message.get("more_body", False):
            return bytes(body)


async def _pass_on(job: Job, send: Send) -> None:
    """Sends an answer as it comes; what is left out of a stream is never ended as if it were whole."""
    streams = True
    while True:
        piece = await job.piece()
        match piece:
            case Head(status, content_type, length):
                headers = [(b"content-type", content_type.encode())]
                if length is not None:
                    streams = False
                    headers.append((b"content-length", str(length).encode()))
                await send({"type": "http.response.start", "status": status, "headers": headers})
            case None:
                if streams and not job.left:
                    await send({"type": "http.response.body", "body": b""})
                return
            case bytes():
                await send({"type": "http.response.body", "body": piece, "more_body": streams})


async def _send_whole(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    with contextlib.suppress(OSError):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
