"""Answers questions and tells news of what others need, over a Unix socket (`questions`); a thread for each topic."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Raw

from weebill.process.beats import until_beat
from weebill.process.questions import (
    ENVELOPE_BYTES,
    MAX_FRAME_BYTES,
    NOTHING,
    TURN_BYTES,
    Answer,
    Ask,
    Follow,
    Frame,
    News,
    Refusal,
    Unanswered,
    encode,
    read,
    write,
)
from weebill.process.sockets import listen

_MAX_CONNECTIONS: Final = 1024
_MAX_QUEUED: Final = 64  # questions of one connection about a topic; the next is read when one of them is answered
_TURN_S: Final = 0.05  # how long one connection's questions are answered before others have their turn
_POLL_S: Final = 0.25  # between two calls of a feed, or of the state where an answer may have changed it
_LOOK_S: Final = 0.5  # between two calls of the state otherwise: others may change it
_SIGN_S: Final = 1.0  # between two calls of a feed that gives signs of life
_LONGEST_S: Final = 60.0  # an answer that takes longer will never come

T = TypeVar("T")

_to_server: Final = msgspec.msgpack.Decoder(Follow | Ask)

log = logging.getLogger(__name__)


class Feed(Protocol):
    """The news of a topic for one asker."""

    def news(self) -> bytes | None:
        """Returns the news since the last call, None if there is none. Raises Unanswered."""


class _Asked(NamedTuple):
    """A question in its queue, and until when its answer is of use."""

    number: int
    question: Raw
    until: float


class QuestionServer:
    """Answers questions and tells news. Belongs to one event loop.

    `answers` and `feeds` are by topic, and called in a thread for each topic: the answer to a question, and what tells
    an asker who knows as much. Both raise Unanswered. Feeds are asked four times a second. If there is a `state`, it is
    that which is asked, in a thread as well, twice a second, and soon after an answer about what is followed; feeds are
    asked once it is another one, and every second those of `heartbeats`, which have news without a change, and those
    that could not be read.
    """

    def __init__(
        self,
        answers: Mapping[str, Callable[[Raw], bytes]],
        feeds: Mapping[str, Callable[[Raw], Feed]],
        state: Callable[[], object] | None = None,
        heartbeats: Collection[str] = (),
    ) -> None:
        self._answers = answers
        self._feeds = feeds
        self._threads = {topic: ThreadPoolExecutor(1, thread_name_prefix=topic) for topic in {*answers, *feeds}}
        self._state = state
        self._heartbeats = heartbeats
        self._followers: set[asyncio.Event] = set()
        self._watching: threading.Thread | None = None
        self._closed = threading.Event()
        self._answered = threading.Event()
        self._under_way: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def moves(self) -> bool:
        """Tells whether every call under way may still come to an end."""
        return all(time.monotonic() - began < _LONGEST_S for began in tuple(self._under_way.values()))

    async def listen(self, path: Path) -> None:
        """Serves at `path`, for the user alone, in place of an earlier server. Raises OSError."""
        self._server = await asyncio.start_unix_server(self._connected, sock=listen(path), limit=TURN_BYTES)
        if self._state is not None:
            watch = partial(self._watch, self._state, asyncio.get_running_loop())
            self._watching = threading.Thread(target=watch, name=f"watch {path.name}", daemon=True)
            self._watching.start()

    def close(self) -> None:
        """Stop serving; what is under way is not answered."""
        self._closed.set()
        self._answered.set()
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        if self._watching is not None:
            self._watching.join(_SIGN_S)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= _MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._tasks.add(task := asyncio.create_task(self._serve(reader, writer)))
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queues = {topic: asyncio.Queue[_Asked](_MAX_QUEUED) for topic in self._answers}
        try:
            async with asyncio.TaskGroup() as tasks:
                for topic, queue in queues.items():
                    tasks.create_task(self._answer(topic, queue, writer))
                while True:
                    message = await read(reader, _to_server)
                    if isinstance(message, Follow):
                        tasks.create_task(self._tell(message, self._feeds[message.topic](message.position), writer))
                    elif message.topic in queues:
                        until = time.monotonic() + message.timeout_s
                        await queues[message.topic].put(_Asked(message.number, message.question, until))
                    else:
                        write(writer, (encode(Refusal(message.number, f"nobody knows of {message.topic}")),))
        except* (OSError, EOFError):  # the asker is gone
            pass
        except* (msgspec.MsgspecError, KeyError) as errors:
            log.error("a question cannot be read: %s", errors.exceptions[0])
        except* Exception:
            log.exception("an asker is cut off by a fault")
        finally:
            writer.transport.abort()

    async def _answer(self, topic: str, queue: asyncio.Queue[_Asked], writer: asyncio.StreamWriter) -> None:
        """Answer what one asker asks about a topic, in its order, as fast as the answers are read."""
        while True:
            asked = [await queue.get()]
            while asked:
                while not queue.empty() and len(asked) < _MAX_QUEUED:
                    asked.append(queue.get_nowait())
                for frame in await self._run(topic, partial(self._turn, topic, asked)):
                    write(writer, frame)
                    del asked[0]
                await writer.drain()

    def _turn(self, topic: str, asked: Sequence[_Asked]) -> list[Frame]:
        """The messages that answer the first of these, as many as one turn has room for; in the topic's thread."""
        frames: list[Frame] = []
        ends_at, size = time.monotonic() + _TURN_S, 0
        for each in asked:
            if frames and (size >= TURN_BYTES or time.monotonic() >= ends_at):
                break
            frame = self._frame(topic, each)
            frames.append(frame)
            size += sum(map(len, frame))
        if topic in self._feeds:
            self._answered.set()
        return frames

    def _frame(self, topic: str, asked: _Asked) -> Frame:
        try:
            if time.monotonic() > asked.until:
                raise Unanswered("whoever has asked has given up")
            found = self._answers[topic](asked.question)
            if len(found) > MAX_FRAME_BYTES - ENVELOPE_BYTES:
                raise Unanswered(f"an answer of {len(found)} bytes is too long")
        except Unanswered as error:
            return (encode(Refusal(asked.number, str(error))),)
        except Exception as error:  # whatever it is, whoever asks must not wait for it
            log.exception("a question about %s cannot be answered", topic)
            return (encode(Refusal(asked.number, f"a fault: {error!r}")),)
        return encode(Answer(asked.number, NOTHING)), found

    async def _tell(self, asked: Follow, feed: Feed, writer: asyncio.StreamWriter) -> None:
        readable = True
        self._followers.add(changed := asyncio.Event())
        try:
            while True:
                changed.clear()
                news: bytes | None = None
                try:
                    news = await self._run(asked.topic, feed.news)
                    if not readable:
                        log.info("%s can be followed again", asked.topic)
                    readable = True
                except Exception as error:  # whatever it is, other topics come the same way
                    if readable:
                        trace = None if isinstance(error, Unanswered) else error
                        log.warning("%s cannot be followed: %s", asked.topic, error, exc_info=trace)
                    readable = False
                if news is not None:
                    write(writer, (encode(News(asked.topic, NOTHING)), news))
                    await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._patience_s(asked.topic, readable)):
                        await changed.wait()
        finally:
            self._followers.discard(changed)

    def _patience_s(self, topic: str, readable: bool) -> float | None:
        """Returns after how many seconds a feed is asked again; None if it has news after a change alone."""
        if self._state is None:
            return _POLL_S
        return until_beat(_SIGN_S) if topic in self._heartbeats or not readable else None

    def _watch(self, state: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
        """Has the feeds asked whenever the state is another one, in a thread of its own."""
        known: object = None
        looked_at = time.monotonic()
        while not self._closed.is_set():
            if self._answered.wait(_LOOK_S):
                self._closed.wait(looked_at + _POLL_S - time.monotonic())
            self._answered.clear()
            looked_at = time.monotonic()
            try:
                now = self._noted("state", state)
            except Exception:  # whatever it is, the feeds find it as well, and report it
                now = object()
            if now != known:
                known = now
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for changed in self._followers:
            changed.set()

    async def _run(self, topic: str, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads[topic], self._noted, topic, call)

    def _noted(self, what: str, call: Callable[[], T]) -> T:
        self._under_way[what] = time.monotonic()  # from here on, not while others have their turn
        try:
            return call()
        finally:
            self._under_way.pop(what)
