"""The memory of bodies under way: bounded for each key and in all, and given back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.fixtures.ledger import SQLITE
from tests.fixtures.upstream import STREAM_HEAD, Request, Upstream, answer, completion, framed
from tests.fixtures.worker import RunningWorker, running_worker
from tests.gateway.conftest import settings
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.apis.chat.api import CHAT as CHAT_API
from weebill.config.limits import LimitSettings
from weebill.gateway.bounds import Pending
from weebill.gateway.cascade import _read_on
from weebill.gateway.memory import Answers
from weebill.gateway.meter import Spending
from weebill.gateway.opened import StreamingResponse, collect, read_beginning
from weebill.gateway.translation import Bridge, translator
from weebill.providers.base import Target
from weebill.providers.failures import classify
from weebill.providers.registry import dialect
from weebill.routing.directory import Directory
from weebill.storage.keys import open_keys
from weebill.transport.client import Client, Origin, Response, Timeouts
from weebill.wire import sse
from weebill.wire.errors import ApiError
from weebill.wire.failure import Failure

CHAT = "/v1/chat/completions"


@asynccontextmanager
async def limited(folder: Path, upstream: Upstream, limits: LimitSettings) -> AsyncIterator[RunningWorker]:
    async with running_worker(folder / "home", msgspec.structs.replace(settings(upstream), limits=limits)) as running:
        yield running


def asking(size: int) -> dict[str, object]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x" * size}]}


def another_key(worker: RunningWorker) -> dict[str, str]:
    with open_keys(worker.home, SQLITE) as keys:
        return {"authorization": f"Bearer {keys.create('another').secret}"}


class Held:
    """An upstream that answers when it is told to."""

    def __init__(self, upstream: Upstream) -> None:
        self.go = asyncio.Event()
        self._upstream = upstream
        upstream.script = self._script

    async def _script(self, request: Request, writer: asyncio.StreamWriter) -> None:
        await self.go.wait()
        writer.write(answer(200, json.dumps(completion()).encode()))

    async def holding(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self._upstream.requests) < count:
                await asyncio.sleep(0.01)


async def test_a_key_and_all_keys_have_a_bound(tmp_path: Path, upstream: Upstream) -> None:
    held = Held(upstream)
    async with limited(tmp_path, upstream, LimitSettings(bodies_mb=2, key_bodies_mb=1)) as worker:
        other, third = another_key(worker), another_key(worker)
        post = worker.client.post
        first = asyncio.create_task(post(CHAT, json=asking(800_000)))
        await held.holding(1)

        refused = await post(CHAT, json=asking(800_000))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_bytes_under_way")
        assert int(refused.headers["retry-after"]) >= 1
        claude = {**asking(800_000), "max_tokens": 9}
        refused = await post("/v1/messages", json=claude)  # in its own format
        assert (refused.status_code, refused.json()["type"]) == (429, "error")
        body = pieces(json.dumps(asking(800_000)).encode())
        chunked = await post(CHAT, content=body, headers={"content-type": "application/json"})
        assert chunked.status_code == 429

        second = asyncio.create_task(post(CHAT, json=asking(800_000), headers=other))
        await held.holding(2)
        refused = await post(CHAT, json=asking(800_000), headers=third)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1

        # What came with its head takes next to none, and goes on.
        small = asyncio.create_task(post(CHAT, json=asking(10), headers=third))
        await held.holding(3)
        held.go.set()
        assert [reply.status_code for reply in await asyncio.gather(first, second, small)] == [200, 200, 200]
        assert (await post(CHAT, json=asking(800_000))).status_code == 200


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 50_000):
        yield body[at : at + 50_000]


async def test_who_leaves_gives_it_back(tmp_path: Path, upstream: Upstream) -> None:
    held = Held(upstream)
    async with limited(tmp_path, upstream, LimitSettings(bodies_mb=2, key_bodies_mb=1)) as worker:
        for number in range(5):
            task = asyncio.create_task(worker.client.post(CHAT, json=asking(800_000)))
            await held.holding(number + 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with asyncio.timeout(60):
                while not upstream.requests[-1].closed.is_set():
                    await asyncio.sleep(0.01)
        held.go.set()
        assert (await worker.client.post(CHAT, json=asking(800_000))).status_code == 200


def resident_mb(pid: int) -> float:
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def test_what_huge_requests_took_is_given_back(worker: RunningWorker) -> None:
    async def ask(size: int) -> int:
        async with httpx.AsyncClient(base_url=worker.url, headers=worker.client.headers, timeout=120) as client:
            return (await client.post(CHAT, json=asking(size))).status_code

    assert await ask(10) == 200
    before = resident_mb(worker.process.pid)
    assert set(await asyncio.gather(*[ask(20_000_000) for _ in range(4)])) == {200}
    async with asyncio.timeout(60):
        while resident_mb(worker.process.pid) > before + 40:
            await asyncio.sleep(0.2)


MIB = 1 << 20


async def test_answers_wait_for_room_in_order_and_none_is_lost() -> None:
    answers = Answers(LimitSettings(answers_mb=8))
    most, ended = 0, []

    async def kept(number: int, size: int) -> None:
        """An answer that comes in pieces, each of which is asked for beside what there is."""
        nonlocal most
        room = answers.room()
        for part in range(1, size + 1):
            if part * MIB > room.free:
                await room.take(part * MIB)
            most = max(most, answers.taken)
            await asyncio.sleep(0)
        ended.append(number)
        room.end()
        room.end()

    # Twelve that would take 72 MiB, all of which have some before any has all.
    await asyncio.wait_for(asyncio.gather(*(kept(number, 6) for number in range(12))), 30)
    assert sorted(ended) == list(range(12))
    assert 8 * MIB < most <= (8 + 6) * MIB  # one goes on beyond the bound, so that there is an end to it
    assert answers.taken == 0
    await asyncio.wait_for(kept(12, 40), 30)  # alone, with more than there is
    assert answers.taken == 0


async def test_an_answer_that_finds_no_room_gives_up_and_others_go_on() -> None:
    answers = Answers(LimitSettings(answers_mb=4), patience_s=0.05)
    first, ahead, late, small = (answers.room() for _ in range(4))
    await first.take(4 * MIB)
    await ahead.take(3 * MIB)
    with pytest.raises(ApiError) as refused:
        await late.take(4 * MIB)
    assert (refused.value.status, refused.value.retry_after) == (503, 1.0)
    assert classify(refused.value) == Failure("invalid_request", "request", 0, 1.0)  # nobody is to blame, none is asked
    waiting, gone = asyncio.create_task(small.take(MIB)), asyncio.create_task(late.take(2 * MIB))
    await asyncio.sleep(0)
    gone.cancel()
    first.end()
    await asyncio.wait_for(waiting, 60)
    assert answers.taken == 4 * MIB
    for room in (ahead, late, small):
        room.end()
    assert answers.taken == 0


async def test_large_answers_together_reach_all_who_asked(tmp_path: Path, upstream: Upstream) -> None:
    said = json.dumps(completion("x" * 3 * MIB)).encode()
    arrived = asyncio.Event()

    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        """Nobody's answer ends before all have begun."""
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said))
        writer.write(said[: 2 * MIB])
        await writer.drain()
        if len(upstream.requests) == 6:
            arrived.set()
        await arrived.wait()
        writer.write(said[2 * MIB :])

    upstream.script = script
    async with limited(tmp_path, upstream, LimitSettings(answers_mb=4)) as worker:
        answers = await asyncio.gather(*(worker.client.post(CHAT, json=asking(10)) for _ in range(6)))
        assert [answer.status_code for answer in answers] == [200] * 6
        assert all(len(answer.content) > 3 * MIB for answer in answers)


class Streaming:
    """An upstream that sends the pieces of a stream as it is told to, and what its answers take."""

    def __init__(self, upstream: Upstream, answers: Answers) -> None:
        self.answers = answers
        at = Directory(settings(upstream), (), 0).resolve("gpt-4o-mini").upstream
        assert at is not None
        self.upstream = at
        self.pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._client = Client()
        self._origin = Origin(host="127.0.0.1", port=upstream.port)
        upstream.script = self._script

    async def _script(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        while piece := await self.pieces.get():
            writer.write(framed(piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def response(self) -> Response:
        return await self._client.send(self._origin, b"POST / HTTP/1.1\r\nhost: h\r\n", b"", Timeouts())

    async def taking(self, least: int, most: int) -> None:
        async with asyncio.timeout(60):
            while not least <= self.answers.taken <= most:
                await asyncio.sleep(0.01)

    def close(self) -> None:
        self.pieces.put_nowait(b"")
        self._client.close()


# Of a chat completion's stream, a large comment, which tells a client of Anthropic's nothing, and another piece.
LARGE = b": " + b"x" * 2 * MIB
CALL = ANTHROPIC.decode(json.dumps({**asking(1), "max_tokens": 9, "stream": True}).encode(), {}, "")


@pytest.fixture
async def streaming(upstream: Upstream) -> AsyncIterator[Streaming]:
    made = Streaming(upstream, Answers(LimitSettings(answers_mb=2), patience_s=0.1))
    yield made
    made.close()


async def test_an_event_is_counted_until_it_ends(streaming: Streaming) -> None:
    answers, translate = streaming.answers, translator(ANTHROPIC, "openai", frozenset({"openai"}))
    sent = translate.encode(CALL, Target(model="m"))

    async def begins() -> StreamingResponse:
        response = await streaming.response()
        try:
            return await read_beginning(streaming.upstream, response, translate.stream(CALL, sent), Spending(), answers)
        finally:
            response.close()

    beginning = asyncio.create_task(begins())
    streaming.pieces.put_nowait(LARGE)
    await streaming.taking(2 * MIB, 3 * MIB)
    # Lines that end no event are kept, too; events that end are not, whether they say anything or not.
    for piece, least in ((b"\n" + LARGE, 4 * MIB), (b"\n\n" + LARGE, 2 * MIB), (b"\n\n: ping\n\n", 0)):
        streaming.pieces.put_nowait(piece)
        await streaming.taking(least, least and least + MIB)
    other = answers.room()
    await other.take(2 * MIB)
    await other.take(3 * MIB)  # the first in line has what it wants
    streaming.pieces.put_nowait(LARGE)
    with pytest.raises(ApiError, match="too large together"):
        await beginning
    other.end()
    assert answers.taken == 0


async def test_a_stream_that_is_collected_or_checked_is_counted(streaming: Streaming) -> None:
    answers, translate = streaming.answers, translator(CHAT_API, "anthropic", frozenset({"anthropic"}))
    text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 500_000}}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    call = CHAT_API.decode(json.dumps({**asking(1), "stream": True}).encode(), {}, "")
    sent = translate.encode(call, Target(model="m"))
    response = await streaming.response()
    stream = translate.stream(call, sent)
    streaming.pieces.put_nowait(sse.event(json.dumps(start).encode()))
    leg = read_beginning(streaming.upstream, response, stream, Spending(), answers)
    streaming.pieces.put_nowait(sse.event(json.dumps(text).encode()))
    found = await leg
    pending = Pending(response)
    for _ in range(3):
        streaming.pieces.put_nowait(sse.event(json.dumps(text).encode()))
        held = len(found.held)
        while len(found.held) == held:
            await _read_on(found, pending, answers)
    assert answers.taken >= 2 * len(found.held) >= 4_000_000
    response.close()
    assert answers.taken == 0

    streaming.pieces.put_nowait(b"")
    response = await streaming.response()
    collector = Bridge(CHAT_API, dialect("anthropic"), "anthropic", streams_only=True).collect(call, sent)
    assert collector is not None
    collecting = asyncio.create_task(collect(response, collector, Spending(), answers))
    for _ in range(3):
        streaming.pieces.put_nowait(sse.event(json.dumps(text).encode()))
    await streaming.taking(1_500_000, 1_600_000)
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    response.close()
    assert answers.taken == 0
