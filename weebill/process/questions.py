"""Questions to a process that holds what others need, and news of it, over a Unix socket.

The asking process holds `Questions`, the other one a `QuestionServer` (`question_server`). A frame is its length in
four bytes, the most significant first, and one message in MessagePack
(https://github.com/msgpack/msgpack/blob/master/spec.md).

1. `Follow` says what the asker knows of a topic. `News` come whenever there is more, and once a second where a topic
   has signs of life.
2. `Ask` is answered by `Answer`, or by `Refusal` where there is no answer now. Answers may come in any order. Those and
   news of one topic come in the order in which they became true.
3. A connection that is lost is opened again, and both are said anew. So a question may be answered twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct

MAX_FRAME_BYTES: Final = 128 << 20
MAX_WAITING: Final = 1024
"""The limit of questions of a process that await their answers."""
TIMEOUT_S: Final = 5.0
TURN_BYTES: Final = 1 << 20  # how much is answered in one turn, and read ahead
_RETRY_S: Final = 0.05
_RETRY_AFTER_FAULT_S: Final = 1.0
_LENGTH_BYTES: Final = 4
NOTHING: Final = Raw(b"")
ENVELOPE_BYTES: Final = 256  # what a message adds to a question

T = TypeVar("T")
# One message: itself, and what its last field holds where that may be long, so as not to copy it.
Frame = tuple[bytes, ...]

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


encode: Final = msgspec.msgpack.Encoder().encode
_to_asker: Final = msgspec.msgpack.Decoder(Answer | Refusal | News)


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
        """The answer. Waits for a connection, too, for `TIMEOUT_S` at most. Raises Unanswered."""
        frame = encode(question)
        if self._waiting >= MAX_WAITING:
            raise Unanswered("too many questions await their answers")
        if len(frame) > MAX_FRAME_BYTES - ENVELOPE_BYTES:
            raise Unanswered(f"a question of {len(frame)} bytes is too long")
        self.start()
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    await self._connection()
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

    async def _connection(self) -> None:
        """Raises Unanswered where there is none in time."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._connected.wait()
        except TimeoutError:
            raise Unanswered(f"{self._path.name} has not been there for {TIMEOUT_S:g} s") from None

    async def _ask_once(self, topic: str, question: bytes, timeout_s: float) -> Raw:
        """Raises ConnectionError where the connection is lost before the answer is there, and Unanswered."""
        async with self._sending:  # one after the other: what cannot be sent yet may still be given up
            self._number += 1
            number = self._number
            await self._send(Ask(number, topic, timeout_s, NOTHING), question)
            answer = self._answers[number] = asyncio.Future[Raw]()
        try:
            return await answer
        finally:
            self._answers.pop(number, None)

    async def _keep_connected(self) -> None:
        while True:
            wait_s = _RETRY_S
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(self._path), limit=TURN_BYTES)
                for topic, followed in self._followed.items():
                    await self._send(Follow(topic, NOTHING), encode(followed.position()))
                self._connected.set()
                while True:
                    self._hear(await read(reader, _to_asker))
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
            write(writer, (encode(message), content))
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


def write(writer: asyncio.StreamWriter, parts: Frame) -> None:
    """Send a frame. Raises ConnectionError where the other end is gone."""
    if writer.is_closing():
        raise ConnectionError
    writer.writelines((sum(map(len, parts)).to_bytes(_LENGTH_BYTES), *parts))


async def read(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """The next message. Raises EOFError, OSError, and msgspec.MsgspecError for what is none."""
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
    if length > MAX_FRAME_BYTES:
        raise msgspec.DecodeError(f"a frame of {length} bytes")
    return decoder.decode(await reader.readexactly(length))
