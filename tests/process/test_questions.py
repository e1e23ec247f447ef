"""Questions and news over a real Unix socket, both ends in this process or one of them the test's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from msgspec import Raw

from weebill.process import questions
from weebill.process.questions import Feed, Follow, Questions, QuestionServer, Unanswered, encode


class Source:
    """A topic whose news are the numbers up to `newest`."""

    def __init__(self) -> None:
        self.newest = 3
        self.readable = True

    def feed(self, position: Raw) -> Feed:
        return Numbers(self, msgspec.msgpack.decode(position))


class Numbers:
    def __init__(self, source: Source, known: int) -> None:
        self.source, self.known = source, known

    def news(self) -> bytes | None:
        if not self.source.readable:
            raise Unanswered("not readable")
        told, self.known = list(range(self.known + 1, self.source.newest + 1)), self.source.newest
        return encode(told) if told else None


class Follower:
    def __init__(self) -> None:
        self.heard: list[int] = []

    def position(self) -> object:
        return max(self.heard, default=0)

    def hear(self, news: Raw) -> None:
        self.heard += msgspec.msgpack.decode(news)


def echo(question: Raw) -> bytes:
    return bytes(question)


def refuse(question: Raw) -> NoReturn:
    raise Unanswered("not today")


def fail(question: Raw) -> NoReturn:
    raise ValueError("a fault")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_POLL_S", 0.01)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


@asynccontextmanager
async def serving(path: Path, source: Source, **answers: Callable[[Raw], bytes]) -> AsyncIterator[QuestionServer]:
    server = QuestionServer({"echo": echo, "refuse": refuse, "fail": fail, **answers}, {"numbers": source.feed})
    await server.listen(path)
    try:
        yield server
    finally:
        server.close()
        path.unlink(missing_ok=True)


@asynccontextmanager
async def asking(path: Path, follower: Follower | None = None) -> AsyncIterator[Questions]:
    client = Questions(path, {} if follower is None else {"numbers": follower})
    client.start()
    try:
        yield client
    finally:
        client.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_questions_are_answered_and_news_told(path: Path) -> None:
    source, follower = Source(), Follower()
    async with serving(path, source), asking(path, follower) as client:
        assert path.stat().st_mode & 0o077 == 0
        answers = await asyncio.gather(*(client.ask("echo", number) for number in range(200)))
        assert [msgspec.msgpack.decode(each) for each in answers] == list(range(200))
        big = b"x" * (8 << 20)
        assert msgspec.msgpack.decode(await client.ask("echo", big)) == big
        await until(lambda: follower.heard == [1, 2, 3])
        source.newest = 5
        await until(lambda: follower.heard == [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("topic", "reason"),
    [("refuse", "not today"), ("fail", "a fault: ValueError"), ("unheard_of", "a fault: KeyError")],
)
async def test_what_cannot_be_answered_is_said(path: Path, topic: str, reason: str) -> None:
    async with serving(path, Source()), asking(path) as client:
        with pytest.raises(Unanswered, match=reason):
            await client.ask(topic, 1)
        assert msgspec.msgpack.decode(await client.ask("echo", 2)) == 2


async def test_a_question_waits_for_who_answers(path: Path) -> None:
    """Not there yet, gone while it was asked, and back: all is asked and followed anew."""
    source, follower = Source(), Follower()
    held = threading.Event()

    def hold(question: Raw) -> bytes:
        held.wait(10)
        return bytes(question)

    async with asking(path, follower) as client:
        early = asyncio.ensure_future(client.ask("echo", 1))
        await asyncio.sleep(0.1)
        async with serving(path, source, hold=hold):
            assert msgspec.msgpack.decode(await early) == 1
            await until(lambda: follower.heard == [1, 2, 3])
            lost = asyncio.ensure_future(client.ask("hold", 2))
            await asyncio.sleep(0.1)
        assert not lost.done()
        held.set()
        source.newest = 4
        async with serving(path, source, hold=hold):
            assert msgspec.msgpack.decode(await lost) == 2
            await until(lambda: follower.heard == [1, 2, 3, 4])


async def test_waits_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(path) as client:
        with pytest.raises(Unanswered, match="has not answered"):
            await client.ask("echo", 1, timeout_s=0.05)
        monkeypatch.setattr(questions, "MAX_WAITING", 3)
        waiting = [asyncio.ensure_future(client.ask("echo", 1, timeout_s=0.2)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unanswered, match="too many"):
            await client.ask("echo", 1)
        for each in waiting:
            with suppress(Unanswered):
                await each
        async with serving(path, Source()):
            assert msgspec.msgpack.decode(await client.ask("echo", 4)) == 4


async def test_a_slow_answer_holds_up_no_other_topic(path: Path) -> None:
    held = threading.Event()

    def hold(question: Raw) -> bytes:
        held.wait(10)
        return bytes(question)

    async with serving(path, Source(), hold=hold) as server, asking(path) as client:
        slow = asyncio.ensure_future(client.ask("hold", 1))
        assert msgspec.msgpack.decode(await client.ask("echo", 2)) == 2
        assert server.moves
        slow.cancel()  # and its answer is nobody's
        held.set()
        assert msgspec.msgpack.decode(await client.ask("hold", 3)) == 3


async def test_a_call_that_never_ends_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = threading.Event()

    def hold(question: Raw) -> bytes:
        held.wait(10)
        return bytes(question)

    async with serving(path, Source(), hold=hold) as server, asking(path) as client:
        slow = asyncio.ensure_future(client.ask("hold", 1))
        await asyncio.sleep(0.1)
        monkeypatch.setattr(questions, "_LONGEST_S", 0.05)
        assert not server.moves
        held.set()
        await slow
        assert server.moves


async def test_lengths_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(path, Source(), grow=lambda question: encode(b"x" * 5000)), asking(path) as client:
        await client.ask("echo", 1)
        monkeypatch.setattr(questions, "MAX_FRAME_BYTES", 4096)
        with pytest.raises(Unanswered, match="too long"):
            await client.ask("echo", b"x" * 5000)
        with pytest.raises(Unanswered, match="too long"):
            await client.ask("grow", 1)
        assert msgspec.msgpack.decode(await client.ask("echo", 2)) == 2


@pytest.mark.parametrize(
    "sent",
    [
        (1 << 31).to_bytes(4),
        (3).to_bytes(4) + b"\xff\xff\xff",
        (lambda frame: len(frame).to_bytes(4) + frame)(encode(Follow("unheard_of", Raw(encode(1))))),
    ],
    ids=["too long", "no message", "no topic"],
)
async def test_who_speaks_otherwise_is_cut_off(path: Path, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(path, Source()), asking(path) as client:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(sent)
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        assert msgspec.msgpack.decode(await client.ask("echo", 2)) == 2
    assert "a question cannot be read" in caplog.text


async def test_news_that_cannot_be_read_are_told_of_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, follower = Source(), Follower()
    source.readable = False
    async with serving(path, source), asking(path, follower):
        await asyncio.sleep(0.1)
        assert follower.heard == []
        source.readable = True
        await until(lambda: follower.heard == [1, 2, 3])
    assert caplog.text.count("cannot be followed") == 1


async def test_a_reader_that_stands_still_is_cut_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_MAX_UNREAD_BYTES", 1 << 20)
    big = encode(questions.Ask(1, "grow", Raw(encode(1))))
    async with serving(path, Source(), grow=lambda question: encode(b"x" * (1 << 20))):
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1024)
        with suppress(ConnectionError):
            for _ in range(20):
                writer.write(len(big).to_bytes(4) + big)
                await writer.drain()
        await asyncio.sleep(0.3)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(20 << 20)
        writer.close()
