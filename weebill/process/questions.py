"""Questions from process to process, and news of changes, over a Unix socket.

The asking process holds `Questions`, the other one a `QuestionServer`. A frame is its length in four bytes, the most
significant first, and one message in MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md).

1. `Follow` has the asker's position in a topic. `News` come after each change, and once a second for a topic with
   heartbeats.
2. `Ask` is answered by `Answer`, or by `Refusal` if there is no answer now. Answers may come in any order. Answers and
   news of one topic come in the order in which they became true.
3. A lost connection is opened again, and `Follow` and `Ask` are sent again. So a question may be answered twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct

MAX_FRAME_BYTES: Final = 128 << 20
MAX_WAITING: Final = 1024
"""The most questions of a process that may await their answers."""
TIMEOUT_S: Final = 5.0
_MAX_UNREAD_BYTES: Final = 2 * MAX_FRAME_BYTES
_MAX_CONNECTIONS: Final = 256
_MAX_AT_ONCE: Final = 64  # questions of one connection; the next is read when one of them is answered
_RETRY_S: Final = 0.05
_RETRY_AFTER_FAULT_S: Final = 1.0
_POLL_S: Final = 0.25
_LONGEST_S: Final = 60.0  # an answer that takes longer will never come
_LENGTH_BYTES: Final = 4
_ENVELOPE_BYTES: Final = 256  # the most that a message adds to its question

T = TypeVar("T")

log = logging.getLogger(__name__)


class Follow(Struct, frozen=True, tag=True):
    """Asks for the news of `topic` since `position`, the asker's own."""

    topic: str
    position: Raw


class Ask(Struct, frozen=True, tag=True):
    """A question about `topic`; `number` is the asker's own."""

    number: int
    topic: str
    question: Raw


class Answer(Struct, frozen=True, tag=True):
    """The answer to the question of this number."""

    number: int
    answer: Raw


class Refusal(Struct, frozen=True, tag=True):
    """There is no answer to the question of this number, for the reason given."""

    number: int
    reason: str


class News(Struct, frozen=True, tag=True):
    """The changes in `topic`."""

    topic: str
    news: Raw


class Position(Struct, frozen=True):
    """A position in a versioned topic: `source` identifies a history, within which `version` only grows."""

    source: str = ""
    version: int = -1


class Unanswered(Exception):  # noqa: N818 - a state rather than an error
    """There is no answer now; the message has the reason."""


class Followed(Protocol):
    """The state of a topic in the process that follows it."""

    def position(self) -> object:
        """Returns the position for `Follow`."""

    def hear(self, news: Raw) -> None:
        """Applies news."""


class Feed(Protocol):
    """The news of a topic for one asker."""

    def news(self) -> bytes | None:
        """Returns the news since the last call, None if there are none. Raises Unanswered."""


encode: Final = msgspec.msgpack.Encoder().encode
_to_server: Final = msgspec.msgpack.Decoder(Follow | Ask)
_to_asker: Final = msgspec.msgpack.Decoder(Answer | Refusal | News)


class Questions:
    """Asks the process that listens at `path`, and follows topics there. Belongs to one event loop.

    A connection is opened by `start`, or with the first question, and opened again until `close`.
    """

    def __init__(self, path: Path, followed: Mapping[str, Followed] | None = None) -> None:
        self._path = path
        self._followed = {} if followed is None else followed
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Raw]] = {}
        self._number = 0
        self._waiting = 0

    def start(self) -> None:
        """Begins to connect and to follow."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_connected(), name=f"ask {self._path.name}")

    async def ask(self, topic: str, question: object, timeout_s: float = TIMEOUT_S) -> Raw:
        """Asks, and returns the answer. Waits for a connection, too. Raises Unanswered."""
        frame = encode(question)
        if self._waiting >= MAX_WAITING:
            raise Unanswered("too many questions await their answers")
        if len(frame) > MAX_FRAME_BYTES - _ENVELOPE_BYTES:
            raise Unanswered(f"a question of {len(frame)} bytes is too long")
        self.start()
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    await self._connected.wait()
                    with suppress(ConnectionError):
                        return await self._ask_once(topic, frame)
        except TimeoutError:
            raise Unanswered(f"{self._path.name} has not answered for {timeout_s:g} s") from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Closes the connection; open questions get no answer."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._lose()

    async def _ask_once(self, topic: str, question: bytes) -> Raw:
        """Asks once. Raises ConnectionError if the connection is lost before the answer comes, and Unanswered."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self._send(Ask(number, topic, Raw(question)))
            return await answer
        finally:
            self._answers.pop(number, None)

    async def _keep_connected(self) -> None:
        while True:
            wait_s = _RETRY_S
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(self._path))
                for topic, followed in self._followed.items():
                    self._send(Follow(topic, Raw(encode(followed.position()))))
                self._connected.set()
                while True:
                    self._hear(await _read(reader, _to_asker))
            except (OSError, EOFError):  # not there yet, or gone
                pass
            except msgspec.MsgspecError as error:
                log.error("%s sent what is no message: %s", self._path.name, error)
                wait_s = _RETRY_AFTER_FAULT_S
            finally:
                self._lose()
            await asyncio.sleep(wait_s)

    def _hear(self, message: Answer | Refusal | News) -> None:
        match message:
            case News(topic=topic, news=news):
                self._followed[topic].hear(news)
            case Answer(number=number, answer=found):
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(found)
            case Refusal(number=number, reason=reason):
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_exception(Unanswered(reason))

    def _send(self, message: Follow | Ask) -> None:
        if self._writer is None:
            raise ConnectionError
        _write(self._writer, encode(message))

    def _lose(self) -> None:
        self._connected.clear()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError())


class QuestionServer:
    """Answers questions and sends news. Belongs to one event loop.

    `answers` and `feeds` are by topic, and called in a thread for each topic: the one answers a question, the other
    returns the feed for an asker's position. Both raise Unanswered.
    """

    def __init__(
        self, answers: Mapping[str, Callable[[Raw], bytes]], feeds: Mapping[str, Callable[[Raw], Feed]]
    ) -> None:
        self._answers = answers
        self._feeds = feeds
        self._threads = {topic: ThreadPoolExecutor(1, thread_name_prefix=topic) for topic in {*answers, *feeds}}
        self._under_way: dict[object, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def moves(self) -> bool:
        """True if no call under way has taken too long to be expected to end."""
        return all(time.monotonic() - began < _LONGEST_S for began in self._under_way.values())

    async def listen(self, path: Path) -> None:
        """Serves at `path`, for the user alone; replaces a socket that is there. Raises OSError."""
        draft = path.with_name(f".{path.name}")
        draft.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._connected, draft)
        except OSError as error:
            raise OSError(f"cannot listen at {path}: {error}; a shorter WEEBILL_HOME may help") from error
        finally:
            os.umask(mask)
        draft.replace(path)  # only now, so that a socket at the path always accepts

    def close(self) -> None:
        """Stops serving; questions under way are not answered."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for thread in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= _MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        room = asyncio.Semaphore(_MAX_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    message = await _read(reader, _to_server)
                    if isinstance(message, Follow):
                        tasks.create_task(self._tell(message, writer))
                    else:
                        await room.acquire()
                        tasks.create_task(self._answer(message, writer, room))
        except* (OSError, EOFError):  # the asker is gone
            pass
        except* (msgspec.MsgspecError, KeyError) as errors:
            log.error("a question cannot be read: %s", errors.exceptions[0])
        finally:
            writer.transport.abort()

    async def _answer(self, asked: Ask, writer: asyncio.StreamWriter, room: asyncio.Semaphore) -> None:
        try:
            found = await self._run(asked.topic, lambda: self._answers[asked.topic](asked.question))
            frame = encode(Answer(asked.number, Raw(found)))
            if len(frame) > MAX_FRAME_BYTES:
                raise Unanswered(f"an answer of {len(frame)} bytes is too long")
        except Unanswered as error:
            frame = encode(Refusal(asked.number, str(error)))
        except Exception as error:  # any error: the asker must not wait for it
            log.exception("a question about %s cannot be answered", asked.topic)
            frame = encode(Refusal(asked.number, f"a fault: {error!r}"))
        finally:
            room.release()
        _write(writer, frame)

    async def _tell(self, asked: Follow, writer: asyncio.StreamWriter) -> None:
        feed = self._feeds[asked.topic](asked.position)
        readable = True
        while True:
            try:
                news = await self._run(asked.topic, feed.news)
                if not readable:
                    log.info("%s can be followed again", asked.topic)
                readable = True
            except Unanswered as error:
                news = None
                if readable:
                    log.warning("%s cannot be followed: %s", asked.topic, error)
                readable = False
            if news is not None:
                _write(writer, encode(News(asked.topic, Raw(news))))
            await asyncio.sleep(_POLL_S)

    async def _run(self, topic: str, call: Callable[[], T]) -> T:
        call_id = object()
        self._under_way[call_id] = time.monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads[topic], call)
        finally:
            del self._under_way[call_id]


def _write(writer: asyncio.StreamWriter, message: bytes) -> None:
    """Sends a frame. Raises ConnectionError if the other end is gone, or does not read."""
    if writer.is_closing():
        raise ConnectionError
    writer.writelines((len(message).to_bytes(_LENGTH_BYTES), message))
    if writer.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
        writer.transport.abort()
        raise ConnectionError


async def _read(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """Reads the next message. Raises EOFError, OSError, and msgspec.MsgspecError for an invalid one."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if length > MAX_FRAME_BYTES:
        raise msgspec.DecodeError(f"a frame of {length} bytes")
    return decoder.decode(await reader.readexactly(length))
