"""Questions and news over a real Unix socket, both ends in this process or one of them the test's own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from msgspec import Raw

from weebill.process import question_server, questions
from weebill.process.question_server import Feed, QuestionServer
from weebill.process.questions import Follow, Questions, Unanswered, encode


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
    monkeypatch.setattr(question_server, "_POLL_S", 0.01)


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
    async with asyncio.timeout(60):
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
    [("refuse", "not today"), ("fail", "a fault: ValueError"), ("unheard_of", "nobody knows")],
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
        held.wait(60)
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
        held.wait(60)
        return bytes(question)

    async with serving(path, Source(), hold=hold) as server, asking(path) as client:
        slow = asyncio.ensure_future(client.ask("hold", 1))
        assert msgspec.msgpack.decode(await client.ask("echo", 2)) == 2
        assert server.moves
        slow.cancel()  # and its answer is nobody's
        held.set()
        assert msgspec.msgpack.decode(await client.ask("hold", 3)) == 3


async def test_a_call_that_never_ends_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, held = threading.Event(), threading.Event()

    def hold(question: Raw) -> bytes:
        begun.set()
        held.wait(60)
        return bytes(question)

    async with serving(path, Source(), hold=hold) as server, asking(path) as client:
        slow = asyncio.ensure_future(client.ask("hold", 1, timeout_s=60))
        await until(begun.is_set)
        assert server.moves
        monkeypatch.setattr(question_server, "_LONGEST_S", 0.05)
        await until(lambda: not server.moves)
        monkeypatch.setattr(question_server, "_LONGEST_S", 60.0)
        held.set()
        await slow
        assert server.moves


async def test_lengths_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(path, Source(), grow=lambda question: encode(b"x" * 5000)), asking(path) as client:
        await client.ask("echo", 1)
        for each in (questions, question_server):
            monkeypatch.setattr(each, "MAX_FRAME_BYTES", 4096)
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
        async with asyncio.timeout(60):
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


async def test_a_reader_that_stands_still_costs_no_more_than_what_it_has_not_read(path: Path) -> None:
    """Its answers are given when it reads again; others have theirs meanwhile."""
    given = 0

    def grow(question: Raw) -> bytes:
        nonlocal given
        given += 1
        return encode(b"x" * (1 << 20))

    async with serving(path, Source(), grow=grow), asking(path) as client:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1024)
        for number in range(50):
            frame = encode(questions.Ask(number, "grow", 5.0, Raw(encode(1))))
            writer.write(len(frame).to_bytes(4) + frame)
        await until(lambda: given > 0)
        assert msgspec.msgpack.decode(await client.ask("echo", 2)) == 2
        await asyncio.sleep(0.1)
        assert given < 5
        for _ in range(50):
            await reader.readexactly(int.from_bytes(await reader.readexactly(4)))
        writer.close()


async def test_questions_that_are_not_read_wait_where_they_can_be_given_up(path: Path) -> None:
    """However long all of them are: the connection is not lost for it, and none is sent that nobody waits for."""
    seen: list[int] = []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        with suppress(EOFError):
            while True:
                seen.append(int.from_bytes(await reader.readexactly(4)))
                await reader.readexactly(seen[-1])

    held = asyncio.Event()
    server = await asyncio.start_unix_server(read, path)
    async with asking(path) as client:
        await until(lambda: client._writer is not None)
        asked = [client.ask("echo", b"x" * (8 << 20), timeout_s=0.5) for _ in range(40)]
        failures = await asyncio.gather(*asked, return_exceptions=True)
        assert {str(each) for each in failures} == {"s has not answered for 0.5 s"}
        held.set()
        await until(lambda: len(seen) > 0)
        await asyncio.sleep(0.1)
    assert len(seen) < 5
    server.close()


@pytest.mark.parametrize("lose", ["abort", "close"])
async def test_whoever_asks_while_a_connection_breaks_waits_for_the_next(
    path: Path, lose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asked without an end, and kept its loop from learning of the break."""
    write, tries = questions.write, 0

    def sending(writer: asyncio.StreamWriter, parts: tuple[bytes, ...]) -> None:
        nonlocal tries
        tries += 1
        assert tries < 20
        write(writer, parts)

    async with serving(path, Source()), asking(path) as client:
        await client.ask("echo", 1)
        assert client._writer is not None
        monkeypatch.setattr(questions, "write", sending)
        getattr(client._writer.transport, lose)()
        assert msgspec.msgpack.decode(await client.ask("echo", 2)) == 2


async def test_one_topic_that_fails_leaves_the_others(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A row that cannot be read, a fault: experiments must not take keys with them."""

    class Broken:
        def news(self) -> bytes | None:
            raise msgspec.ValidationError("a faulty row")

    source, follower = Source(), Follower()
    server = QuestionServer({"echo": echo}, {"numbers": source.feed, "broken": lambda position: Broken()})
    await server.listen(path)
    client = Questions(path, {"broken": Follower(), "numbers": follower})
    client.start()
    await until(lambda: follower.heard == [1, 2, 3])
    await asyncio.sleep(0.2)
    source.newest = 4
    await until(lambda: follower.heard == [1, 2, 3, 4])
    assert msgspec.msgpack.decode(await client.ask("echo", 2)) == 2
    assert caplog.text.count("broken cannot be followed") == 1
    client.close()
    server.close()


async def test_feeds_are_asked_when_the_state_is_another_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cheaper to ask than they are. Without a change they are asked now and then: each has signs of life."""
    monkeypatch.setattr(question_server, "_SIGN_S", 1e9)
    source, follower = Source(), Follower()
    known, asked = [0], [0]

    def state() -> int:
        asked[0] += 1
        if known[0] < 0:
            raise Unanswered("not readable")
        return known[0]

    async def asked_again() -> None:
        before = asked[0]
        await until(lambda: asked[0] > before + 1)

    server = QuestionServer({}, {"numbers": source.feed}, state, heartbeats=("numbers",))
    await server.listen(path)
    async with asking(path, follower):
        await until(lambda: follower.heard == [1, 2, 3])
        await asked_again()
        source.newest = 4
        await asked_again()
        assert follower.heard == [1, 2, 3]
        known[0] = 1
        await until(lambda: follower.heard == [1, 2, 3, 4])
        known[0] = -1  # feeds are asked each time: they say what is wrong, or are well
        source.newest = 5
        await until(lambda: follower.heard == [1, 2, 3, 4, 5])
        source.newest = 6
        await until(lambda: follower.heard == [1, 2, 3, 4, 5, 6])
        monkeypatch.setattr(question_server, "_SIGN_S", 0.01)
        known[0] = 2
        await asked_again()
        source.newest = 7
        await until(lambda: follower.heard == [1, 2, 3, 4, 5, 6, 7])
    server.close()
    ended = asked[0]
    await asyncio.sleep(0.05)
    assert asked[0] == ended


async def test_an_answer_about_what_is_followed_has_the_state_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most likely it has changed something, and others wait for the news."""
    monkeypatch.setattr(question_server, "_LOOK_S", 60.0)
    source, follower, known = Source(), Follower(), [0]

    def count(question: Raw) -> bytes:
        source.newest += 1
        known[0] += 1
        return bytes(question)

    server = QuestionServer({"numbers": count, "echo": echo}, {"numbers": source.feed}, lambda: known[0])
    await server.listen(path)
    async with asking(path, follower) as client:
        await until(lambda: follower.heard == [1, 2, 3])
        await client.ask("numbers", 0)
        await until(lambda: follower.heard == [1, 2, 3, 4])
        source.newest = 5
        known[0] = 9
        await client.ask("echo", 0)
        assert follower.heard == [1, 2, 3, 4]
        await client.ask("numbers", 0)
        await until(lambda: follower.heard == [1, 2, 3, 4, 5, 6])
    server.close()


async def test_news_that_cannot_be_taken_in_end_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised, the connection is opened again."""
    monkeypatch.setattr(questions, "_RETRY_AFTER_FAULT_S", 0.01)
    source, follower = Source(), Follower()
    hear, failures = follower.hear, [ValueError("a fault"), msgspec.ValidationError("no message"), KeyError("topic")]

    def hearing(news: Raw) -> None:
        if failures:
            raise failures.pop()
        hear(news)

    monkeypatch.setattr(follower, "hear", hearing)
    async with serving(path, source), asking(path, follower) as client:
        await until(lambda: follower.heard == [1, 2, 3])
        assert msgspec.msgpack.decode(await client.ask("echo", 2)) == 2


async def test_what_nobody_waits_for_any_more_is_not_worked_on(path: Path) -> None:
    """Else a short outage would become a long one: all would wait for answers to those who have left."""
    held, answered = threading.Event(), []

    def hold(question: Raw) -> bytes:
        answered.append(msgspec.msgpack.decode(question))
        held.wait(60)
        return bytes(question)

    async with serving(path, Source(), hold=hold) as server, asking(path) as client:
        patient = asyncio.ensure_future(client.ask("hold", 0, timeout_s=20))
        await until(lambda: bool(answered))
        waiting = [client.ask("hold", number, timeout_s=0.1) for number in range(1, 20)]
        last = asyncio.ensure_future(client.ask("hold", 20, timeout_s=20))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(each, Unanswered) for each in results)
        await asyncio.sleep(0.1)
        held.set()
        await asyncio.gather(patient, last)
        assert answered == [0, 20]
        assert server.moves


async def test_a_long_queue_is_no_call_that_never_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call has its time from its beginning, or whoever locks the ledger would have the process killed."""
    monkeypatch.setattr(question_server, "_LONGEST_S", 1.0)

    def slow(question: Raw) -> bytes:
        time.sleep(0.1)
        return bytes(question)

    async with serving(path, Source(), slow=slow) as server:
        clients = [Questions(path) for _ in range(12)]
        waiting = [asyncio.ensure_future(client.ask("slow", 1)) for client in clients]
        while not all(each.done() for each in waiting):
            assert server.moves
            await asyncio.sleep(0.01)
        for client in clients:
            client.close()


async def test_nobody_waits_for_long_where_nobody_listens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "TIMEOUT_S", 0.1)
    async with asking(path) as client, asyncio.timeout(30):
        with pytest.raises(Unanswered, match="has not been there"):
            await client.ask("echo", 1, timeout_s=3600)
