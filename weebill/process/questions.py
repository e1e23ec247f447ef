"""Questions to a process that holds what others need, and news of it, over a Unix socket.

The asking process holds `Questions`, the other one a `QuestionServer`. A frame is its length in four bytes, the most
significant first, and one message in MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md).

1. `Follow` says what the asker knows of a topic. `News` come whenever there is more, and once a second where a topic
   has signs of life.
2. `Ask` is answered by `Answer`, or by `Refusal` where there is no answer now. Answers may come in any order. Those and
   news of one topic come in the order in which they became true.
3. A connection that is lost is opened again, and both are said anew. So a question may be answered twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct

from weebill.process.sockets import listen

MAX_FRAME_BYTES: Final = 128 << 20
MAX_WAITING: Final = 1024
"""The limit of questions of a process that await their answers."""
TIMEOUT_S: Final = 5.0
_MAX_CONNECTIONS: Final = 1024
_MAX_QUEUED: Final = 64  # questions of one connection about a topic; the next is read when one of them is answered
_TURN_S: Final = 0.05  # how long one connection's questions are answered before others have their turn
_TURN_BYTES: Final = 1 << 20  # how much is answered in one turn, and read ahead
_RETRY_S: Final = 0.05
_RETRY_AFTER_FAULT_S: Final = 1.0
_POLL_S: Final = 0.25
_LONGEST_S: Final = 60.0  # an answer that takes longer will never come
_LENGTH_BYTES: Final = 4
_NOTHING: Final = Raw(b"")
_ENVELOPE_BYTES: Final = 256  # what a message adds to a question

T = TypeVar("T")
# One message: itself, and what its last field holds where that may be long, so as not to copy it.
_Frame = tuple[bytes, ...]

log = logging.getLogger(__name__)


class Follow(Struct, frozen=True, tag=True):
    """Say what is new in `topic` since `position`, which is what the asker knows."""

    topic: str
    position: Raw


class Ask(Struct, frozen=True, tag=True):
    """A question about `topic`, whose answer is waited for so long; `number` is the asker's own."""

    number: int
    topic: str
    timeout_s: float
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
    """A change in `topic`."""

    topic: str
    news: Raw


class Position(Struct, frozen=True):
    """The known part of a versioned topic: `source` tells histories apart; within one, `version` only grows."""

    source: str = ""
    version: int = -1


class Unanswered(Exception):  # noqa: N818 - a state rather than an error
    """There is no answer now; the message says why."""


class Followed(Protocol):
    """One process's knowledge of a topic of another process."""

    def position(self) -> object:
        """Returns the known part, for `Follow`."""

    def hear(self, news: Raw) -> None:
        """Take in what is new."""


class Feed(Protocol):
    """The news of a topic for one asker."""

    def news(self) -> bytes | None:
        """Returns the news since the last call, None if there is none. Raises Unanswered."""


encode: Final = msgspec.msgpack.Encoder().encode
_to_server: Final = msgspec.msgpack.Decoder(Follow | Ask)
_to_asker: Final = msgspec.msgpack.Decoder(Answer | Refusal | News)


class _Asked(NamedTuple):
    """A question in its queue, and until when its answer is of use."""

    number: int
    question: Raw
    until: float


class Questions:
    """Asks whoever listens at `path`, and follows topics there. Belongs to one event loop.

    A connection is opened by `start`, or with the first question, and opened again until `close`.
    """

    def __init__(self, path: Path, followed: Mapping[str, Followed] | None = None) -> None:
        self._path = path
        self._followed = {} if followed is None else followed
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._answers: dict[int, asyncio.Future[Raw]] = {}
        self._number = 0
        self._waiting = 0

    def start(self) -> None:
        """Begin to connect and to follow."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_connected(), name=f"ask {self._path.name}")

    async def ask(self, topic: str, question: object, timeout_s: float = TIMEOUT_S) -> Raw:
        """The answer. Waits for a connection, too. Raises Unanswered."""
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
                        return await self._ask_once(topic, frame, timeout_s)
        except TimeoutError:
            raise Unanswered(f"{self._path.name} has not answered for {timeout_s:g} s") from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let go of the connection; what awaits an answer gets none."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._lose()

    async def _ask_once(self, topic: str, question: bytes, timeout_s: float) -> Raw:
        """Raises ConnectionError where the connection is lost before the answer is there, and Unanswered."""
        async with self._sending:  # one after the other: what cannot be sent yet may still be given up
            self._number += 1
            number = self._number
            await self._send(Ask(number, topic, timeout_s, _NOTHING), question)
            answer = self._answers[number] = asyncio.Future[Raw]()
        try:
            return await answer
        finally:
            self._answers.pop(number, None)

    async def _keep_connected(self) -> None:
        while True:
            wait_s = _RETRY_S
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(self._path), limit=_TURN_BYTES)
                for topic, followed in self._followed.items():
                    await self._send(Follow(topic, _NOTHING), encode(followed.position()))
                self._connected.set()
                while True:
                    self._hear(await _read(reader, _to_asker))
            except (OSError, EOFError):
                pass  # not there yet, or gone
            except Exception:  # whatever it is: without this task nothing would ever be answered again
                log.exception("%s sent what cannot be taken in", self._path.name)
                wait_s = _RETRY_AFTER_FAULT_S
            finally:
                self._lose()
            await asyncio.sleep(wait_s)

    def _hear(self, message: Answer | Refusal | News) -> None:
        match message:
            case News(topic=topic, news=news):
                self._followed[topic].hear(news)
            case Answer(number=number) | Refusal(number=number):
                answer = self._answers.get(number)
                if answer is None or answer.done():  # whoever asked has given up
                    return
                if isinstance(message, Answer):
                    answer.set_result(message.answer)
                else:
                    answer.set_exception(Unanswered(message.reason))

    async def _send(self, message: Follow | Ask, content: bytes) -> None:
        """Send it once what was sent before is on its way. Raises ConnectionError."""
        writer = self._writer
        if writer is None:
            raise ConnectionError
        try:
            await writer.drain()
            _write(writer, (encode(message), content))
        except OSError as error:
            if writer is self._writer:
                self._lose()  # now, so that whoever asks again waits for the next connection
            raise ConnectionError from error

    def _lose(self) -> None:
        self._connected.clear()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError())


class QuestionServer:
    """Answers questions and tells news. Belongs to one event loop.

    `answers` and `feeds` are by topic, and called in a thread for each topic: the answer to a question, and what tells
    an asker who knows as much. Both raise Unanswered.
    """

    def __init__(
        self, answers: Mapping[str, Callable[[Raw], bytes]], feeds: Mapping[str, Callable[[Raw], Feed]]
    ) -> None:
        self._answers = answers
        self._feeds = feeds
        self._threads = {topic: ThreadPoolExecutor(1, thread_name_prefix=topic) for topic in {*answers, *feeds}}
        self._under_way: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def moves(self) -> bool:
        """Tells whether every call under way may still come to an end."""
        return all(time.monotonic() - began < _LONGEST_S for began in tuple(self._under_way.values()))

    async def listen(self, path: Path) -> None:
        """Serves at `path`, for the user alone, in place of an earlier server. Raises OSError."""
        self._server = await asyncio.start_unix_server(self._connected, sock=listen(path), limit=_TURN_BYTES)

    def close(self) -> None:
        """Stop serving; what is under way is not answered."""
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
        self._tasks.add(task := asyncio.create_task(self._serve(reader, writer)))
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queues = {topic: asyncio.Queue[_Asked](_MAX_QUEUED) for topic in self._answers}
        try:
            async with asyncio.TaskGroup() as tasks:
                for topic, queue in queues.items():
                    tasks.create_task(self._answer(topic, queue, writer))
                while True:
                    message = await _read(reader, _to_server)
                    if isinstance(message, Follow):
                        tasks.create_task(self._tell(message, self._feeds[message.topic](message.position), writer))
                    elif message.topic in queues:
                        until = time.monotonic() + message.timeout_s
                        await queues[message.topic].put(_Asked(message.number, message.question, until))
                    else:
                        _write(writer, (encode(Refusal(message.number, f"nobody knows of {message.topic}")),))
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
                    _write(writer, frame)
                    del asked[0]
                await writer.drain()

    def _turn(self, topic: str, asked: Sequence[_Asked]) -> list[_Frame]:
        """The messages that answer the first of these, as many as one turn has room for; in the topic's thread."""
        frames: list[_Frame] = []
        ends_at, size = time.monotonic() + _TURN_S, 0
        for each in asked:
            if frames and (size >= _TURN_BYTES or time.monotonic() >= ends_at):
                break
            frame = self._frame(topic, each)
            frames.append(frame)
            size += sum(map(len, frame))
        return frames

    def _frame(self, topic: str, asked: _Asked) -> _Frame:
        try:
            if time.monotonic() > asked.until:
                raise Unanswered("whoever has asked has given up")
            found = self._answers[topic](asked.question)
            if len(found) > MAX_FRAME_BYTES - _ENVELOPE_BYTES:
                raise Unanswered(f"an answer of {len(found)} bytes is too long")
        except Unanswered as error:
            return (encode(Refusal(asked.number, str(error))),)
        except Exception as error:  # whatever it is, whoever asks must not wait for it
            log.exception("a question about %s cannot be answered", topic)
            return (encode(Refusal(asked.number, f"a fault: {error!r}")),)
        return encode(Answer(asked.number, _NOTHING)), found

    async def _tell(self, asked: Follow, feed: Feed, writer: asyncio.StreamWriter) -> None:
        readable = True
        while True:
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
                _write(writer, (encode(News(asked.topic, _NOTHING)), news))
                await writer.drain()
            await asyncio.sleep(_POLL_S)

    async def _run(self, topic: str, call: Callable[[], T]) -> T:
        def noted() -> T:
            self._under_way[topic] = time.monotonic()  # from here on, not while others have their turn
            try:
                return call()
            finally:
                self._under_way.pop(topic)

        return await asyncio.get_running_loop().run_in_executor(self._threads[topic], noted)


def _write(writer: asyncio.StreamWriter, parts: _Frame) -> None:
    """Send a frame. Raises ConnectionError where the other end is gone."""
    if writer.is_closing():
        raise ConnectionError
    writer.writelines((sum(map(len, parts)).to_bytes(_LENGTH_BYTES), *parts))


async def _read(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """The next message. Raises EOFError, OSError, and msgspec.MsgspecError for what is none."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if length > MAX_FRAME_BYTES:
        raise msgspec.DecodeError(f"a frame of {length} bytes")
    return decoder.decode(await reader.readexactly(length))
