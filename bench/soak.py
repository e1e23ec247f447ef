"""A long steady load on one Weebill: is memory flat, do files stay few, is every answer right?

The load is mixed: whole answers, streams, streams that the client leaves half-way, upstream errors, upstream
cuts and bad requests. Every few seconds the memory and the open files of each process are noted.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop
from rich.table import Table

from bench import contenders
from bench.contenders import Endpoint
from bench.http import STREAM_END, completion_text
from bench.measure import raise_fd_limit
from bench.proc import HARNESS_CORE, Memory, ProcessSample, Service, samples
from bench.results import total
from bench.upstream import MARKER, REPLY_TEXT, Ask

SETTLED_S = 120.0  # from when on memory has to be flat

# Flat: no more than this factor and these bytes above the figure of minute 2.
_FLAT = 1.03
_FLAT_BYTES = 2_000_000
_PERIOD_S = 3.0
_MOST_FDS = 4000


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Weebill's processes, `at_s` seconds after the load began."""

    at_s: float
    processes: list[ProcessSample]


class Soak(msgspec.Struct, kw_only=True):
    """What a soak saw; `counts` are answers by kind of request, `faults` those that were not as they should be."""

    seconds: float
    counts: dict[str, int]
    faults: list[str]
    moments: list[Moment]

    def nearest(self, at_s: float) -> Moment:
        return min(self.moments, key=lambda moment: abs(moment.at_s - at_s))


class _WrongAnswerError(Exception):
    """An answer that is not what was to be expected."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    whole: bool  # the HTTP framing says that this is all


async def _exchange(port: int, request: bytes, leave_after: int | None = None) -> _Answer:
    """Send `request` on a connection of its own, and read to the end or until `leave_after` bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        lowered = head.lower()
        try:
            if b"transfer-encoding: chunked" in lowered:
                return _Answer(status, await _chunked(reader, leave_after), True)
            length = int(lowered.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            return _Answer(status, await reader.readexactly(length), True)
        except asyncio.IncompleteReadError as error:
            return _Answer(status, error.partial, False)
    finally:
        writer.transport.abort()


async def _chunked(reader: asyncio.StreamReader, leave_after: int | None) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
        if leave_after is not None and len(body) >= leave_after:
            return body
    await reader.readexactly(2)
    return body


class _Load:
    """`width` loops, each doing one kind of request after the other, again and again."""

    def __init__(self, plain: Endpoint, stream: Endpoint) -> None:
        self._plain, self._stream = plain, stream
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._kinds: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("whole", self._whole),
            ("whole", self._whole),
            ("stream", self._fast),
            ("whole", self._whole),
            ("left half-way", self._left),
            ("whole", self._whole),
            ("long stream", self._long),
            ("bad request", self._bad),
            ("wrong key", self._wrong_key),
            ("whole", self._whole),
            ("upstream error", self._upstream_error),
            ("upstream cut", self._upstream_cut),
        )

    async def run(self, width: int, until: float) -> None:
        await asyncio.gather(*(self._loop(place, until) for place in range(width)))

    async def _loop(self, place: int, until: float) -> None:
        while time.monotonic() < until:
            kind, ask = self._kinds[place % len(self._kinds)]
            place += 1
            try:
                await asyncio.wait_for(ask(), 60)
            except (_WrongAnswerError, OSError, EOFError, ValueError, asyncio.LimitOverrunError, TimeoutError) as error:
                if len(self.faults) < 100:
                    self.faults.append(f"{kind}: {type(error).__name__} {error}")
                await asyncio.sleep(0.1)  # where nothing listens any more, not to spin
            self.counts[kind] += 1

    async def _whole(self) -> None:
        answer = await _exchange(self._plain.port, self._plain.request())
        _expect(answer.status == 200 and completion_text(answer.body) == REPLY_TEXT, answer)

    async def _fast(self) -> None:
        await self._streamed(Ask(chunks=200, per_write=8))

    async def _streamed(self, ask: Ask) -> None:
        answer = await _exchange(self._stream.port, self._stream.request(ask, stream=True))
        complete = STREAM_END in answer.body and answer.body.count(MARKER) == ask.chunks
        _expect(answer.status == 200 and answer.whole and complete, answer)

    async def _long(self) -> None:
        await self._streamed(Ask(chunks=40, every_ms=25))

    async def _left(self) -> None:
        request = self._stream.request(Ask(chunks=400, every_ms=5), stream=True)
        answer = await _exchange(self._stream.port, request, leave_after=1000)
        _expect(answer.status == 200 and MARKER in answer.body, answer)

    async def _bad(self) -> None:
        request = self._plain.request().replace(b'"messages":[', b'"messages":{', 1)
        answer = await _exchange(self._plain.port, request)
        _expect(answer.status == 400 and b'"error"' in answer.body, answer)

    async def _wrong_key(self) -> None:
        request = self._plain.request().replace(b"Bearer sk-wb-", b"Bearer sk-xx-", 1)
        answer = await _exchange(self._plain.port, request)
        _expect(answer.status == 401 and b'"error"' in answer.body, answer)

    async def _upstream_error(self) -> None:
        answer = await _exchange(self._stream.port, self._stream.request(Ask(status=500)))
        _expect(answer.status >= 500 and b'"error"' in answer.body, answer)

    async def _upstream_cut(self) -> None:
        ask = Ask(chunks=20, every_ms=5, cut_after=5)
        answer = await _exchange(self._stream.port, self._stream.request(ask, stream=True))
        _expect(STREAM_END not in answer.body and (b'"error"' in answer.body or not answer.whole), answer)


def _expect(right: bool, answer: _Answer) -> None:
    if not right:
        raise _WrongAnswerError(f"status {answer.status}, whole {answer.whole}, ends with {answer.body[-200:]!r}")


def soak(seconds: float, width: int, tick: Callable[[Moment], None]) -> Soak:
    """Load a Weebill of its own for `seconds`; `tick` is told of every moment. Stops all it started."""
    os.sched_setaffinity(0, {HARNESS_CORE})
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as folder, ExitStack() as stack:

        def started(service: Service) -> None:
            stack.callback(service.stop)

        fds = raise_fd_limit(_MOST_FDS)
        upstreams = contenders.start_upstreams(Path(folder), fds, started)
        weebill = contenders.start(contenders.STARTERS["weebill"], Path(folder), upstreams, fds, started)
        if weebill.service is None:
            raise AssertionError("weebill is a process")
        load = _Load(weebill.plain, weebill.stream)
        moments: list[Moment] = []
        pid = weebill.service.pid

        async def watch(begun: float) -> None:
            while True:
                moments.append(Moment(at_s=time.monotonic() - begun, processes=samples(pid)))
                tick(moments[-1])
                await asyncio.sleep(_PERIOD_S)

        async def run() -> None:
            begun = time.monotonic()
            watching = asyncio.create_task(watch(begun))
            await load.run(width, begun + seconds)
            watching.cancel()
            moments.append(Moment(at_s=time.monotonic() - begun, processes=samples(pid)))

        uvloop.run(run())
    return Soak(seconds=seconds, counts=dict(load.counts), faults=load.faults, moments=moments)


def settled(found: Soak) -> Moment:
    """The moment that the end is compared with: minute 2, or the middle of a shorter soak."""
    return found.nearest(min(SETTLED_S, found.seconds / 2))


def is_flat(found: Soak) -> bool:
    """Whether memory at the end is what it was once it had settled, but for the allocator's own noise."""
    before, after = total(settled(found).processes), total(found.moments[-1].processes)
    return after.rss <= before.rss * _FLAT + _FLAT_BYTES


def soak_table(found: Soak) -> Table:
    """The figures of each process at minute 2 and at the end."""
    first, last = settled(found), found.moments[-1]
    answers = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.counts.items()))
    table = Table(title=f"Soak of {found.seconds / 60:.1f} minutes", caption=answers)
    table.add_column("Process")
    for moment in (first, last):
        for column in (f"minute {moment.at_s / 60:.1f}: RSS MB", "PSS MB", "files"):
            table.add_column(column, justify="right")
    then = {process.pid: process for process in first.processes}
    for process in last.processes:
        table.add_row(f"{process.name} ({process.pid})", *_cells(then.get(process.pid)), *_cells(process))
    before, after = total(first.processes), total(last.processes)
    table.add_row("all", *_memory_cells(before), "", *_memory_cells(after), "", style="bold")
    return table


def _cells(process: ProcessSample | None) -> list[str]:
    return [*_memory_cells(process.memory), str(process.fds)] if process else ["–"] * 3


def _memory_cells(memory: Memory) -> list[str]:
    return [f"{memory.rss / 1e6:.1f}", f"{memory.pss / 1e6:.1f}"]
