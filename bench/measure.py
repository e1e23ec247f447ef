"""One run: start everybody, measure in interleaved rounds, stop everybody."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from bench import contenders
from bench.contenders import Contender, Starter, Upstreams
from bench.load import Load, LoadResult
from bench.proc import HARNESS_CORE, BenchError, ProcessSample, Service, cpu_by_process, cpu_seconds, samples, tree
from bench.results import Cost, MemorySample, PlainSample, Run, StreamSample, total
from bench.streams import StreamLoad, StreamResult
from bench.upstream import REPLY_TEXT, Ask

FIRST_CHUNK, RELAY, MANY = "first chunk", "relay", "many streams"

_Result = TypeVar("_Result", LoadResult, StreamResult)
Step = Callable[[str], None]  # told what is being measured, once for each measurement

# Connections beyond which a contender only queues: the figures would be those of a longer queue.
_MOST_CONNECTIONS = {"litellm": 64}
# Chunks in each stream of the relay measurement where the usual number takes too long.
_RELAY_CHUNKS = {"litellm": 250}
# Windows so much longer where an answer takes so long that the usual window holds hardly one of each connection.
_LONGER = {"litellm": 4}
_SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured; `many` streams are open at once at the end, each sending a chunk every `every_ms`."""

    rounds: int = 5
    seconds: float = 3.0
    warmup_s: float = 0.7
    connections: tuple[int, ...] = (1, 16, 64, 256)
    first_chunk_connections: tuple[int, ...] = (1, 64)
    relay_connections: int = 4
    relay_chunks: int = 4000
    many: int = 5000
    many_chunks: int = 60
    many_every_ms: int = 500
    many_ramp_s: float = 10.0
    many_deadline_s: float = 120.0

    def steps(self, count: int) -> int:
        """An upper bound of the measurements made with `count` contenders, for a progress bar."""
        rounds = self.rounds * (len(self.connections) + len(self.first_chunk_connections) + 1)
        return count * (rounds + 2)


QUICK = Plan(
    rounds=1, seconds=1.0, warmup_s=0.3, connections=(1, 64), many=300, many_chunks=8, many_ramp_s=1, many_deadline_s=20
)


def measure(starters: Mapping[str, Starter], plan: Plan, run: Run, step: Step) -> None:
    """Fill `run`. A contender that cannot be started is left out, and `run.absent` says why."""
    os.sched_setaffinity(0, {HARNESS_CORE})
    with tempfile.TemporaryDirectory(prefix="weebill-bench-") as folder, ExitStack() as stack:
        fds = raise_fd_limit(2 * plan.many + 1000)

        def started(service: Service) -> None:
            stack.callback(service.stop)

        upstreams = contenders.start_upstreams(Path(folder), fds, started)
        field = []
        for name, starter in starters.items():
            step(f"starting {name}")
            try:
                contender = contenders.start(starter, Path(folder), upstreams, fds, started)
            except BenchError as error:
                run.absent[name] = str(error)
                continue
            run.versions[name] = contender.version
            field.append(_Lane(contender, upstreams))
            field[-1].rest(run, "idle")
        _plain_rounds(field, plan, run, step)
        _stream_rounds(field, plan, run, step)
        for lane in tuple(field):
            step(f"{plan.many:,} streams · {lane.name}")
            with _drop_if_ended(lane, field, run):
                run.streams.append(lane.many(plan))


@contextmanager
def _drop_if_ended(lane: _Lane, field: list[_Lane], run: Run) -> Iterator[None]:
    """A contender that ends while it is measured is out; `run.absent` says how it ended."""
    try:
        yield
    except BenchError as error:
        run.absent[lane.name] = str(error)
        field[:] = [other for other in field if other is not lane]


def raise_fd_limit(wanted: int) -> int:
    """Let this process and its children open `wanted` files; returns how many they may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            hard = wanted
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, max(wanted, soft))
    if limit < wanted:
        raise BenchError(f"{wanted} open files are needed and {limit} allowed; run: ulimit -n {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


def _plain_rounds(field: list[_Lane], plan: Plan, run: Run, step: Step) -> None:
    for connections in plan.connections:
        for number in range(plan.rounds):
            for lane in tuple(field):
                step(f"{connections} connections · {lane.name}")
                if connections <= _MOST_CONNECTIONS.get(lane.name, connections):
                    with _drop_if_ended(lane, field, run):
                        run.plain.append(lane.plain(plan, connections, number))
    for lane in field:
        lane.rest(run, "after")


def _stream_rounds(field: list[_Lane], plan: Plan, run: Run, step: Step) -> None:
    for number in range(plan.rounds):
        for lane in tuple(field):
            with _drop_if_ended(lane, field, run):
                for connections in plan.first_chunk_connections:
                    step(f"first chunk, {connections} streams · {lane.name}")
                    run.streams.append(lane.first_chunk(plan, connections, number))
                step(f"relay · {lane.name}")
                run.streams.append(lane.relay(plan, number))


class _Lane:
    """One contender and what is done to it; it runs only while it is measured."""

    def __init__(self, contender: Contender, upstreams: Upstreams) -> None:
        self.name = contender.name
        self._contender = contender
        self._upstreams = upstreams
        if contender.service:
            contender.service.pause()

    def rest(self, run: Run, when: str) -> None:
        if self._contender.service:
            found = samples(self._contender.service.pid)
            run.memory.append(MemorySample(contender=self.name, when=when, processes=found))

    def plain(self, plan: Plan, connections: int, number: int) -> PlainSample:
        endpoint = self._contender.plain
        load = Load(
            port=endpoint.port,
            request=endpoint.request(),
            content=REPLY_TEXT,
            connections=connections,
            warmup_s=plan.warmup_s,
            seconds=plan.seconds * _LONGER.get(self.name, 1),
        )
        result, cost = self._under("bench.load", load, LoadResult)
        return PlainSample(contender=self.name, connections=connections, round=number, load=result, cost=cost)

    def first_chunk(self, plan: Plan, connections: int, number: int) -> StreamSample:
        """Short streams whose chunks come slowly, as a model's do."""
        ask = Ask(chunks=10, every_ms=20)
        load = self._streams(ask, connections, warmup_s=plan.warmup_s, seconds=plan.seconds)
        result, cost = self._under("bench.streams", load, StreamResult)
        return StreamSample(
            contender=self.name, measure=FIRST_CHUNK, connections=connections, round=number, load=result, cost=cost
        )

    def relay(self, plan: Plan, number: int) -> StreamSample:
        """A few streams as fast as they will go."""
        ask = Ask(chunks=_RELAY_CHUNKS.get(self.name, plan.relay_chunks), per_write=8)
        load = self._streams(ask, plan.relay_connections, warmup_s=plan.warmup_s, seconds=plan.seconds)
        result, cost = self._under("bench.streams", load, StreamResult)
        return StreamSample(
            contender=self.name,
            measure=RELAY,
            connections=plan.relay_connections,
            round=number,
            load=result,
            cost=cost,
        )

    def many(self, plan: Plan) -> StreamSample:
        """Many streams at once, and the memory they take."""
        ask = Ask(chunks=plan.many_chunks, every_ms=plan.many_every_ms)
        load = self._streams(ask, plan.many, ramp_s=plan.many_ramp_s, deadline_s=plan.many_deadline_s)
        service = self._contender.service
        watched: AbstractContextManager[list[ProcessSample]] = _peak(service.pid) if service else nullcontext([])
        with watched as processes:
            result, cost = self._under("bench.streams", load, StreamResult)
        return StreamSample(
            contender=self.name,
            measure=MANY,
            connections=plan.many,
            round=0,
            load=result,
            cost=cost,
            processes=processes,
        )

    def _streams(
        self,
        ask: Ask,
        connections: int,
        *,
        warmup_s: float = 0.0,
        seconds: float = 0.0,
        ramp_s: float = 0.0,
        deadline_s: float = 60.0,
    ) -> StreamLoad:
        endpoint = self._contender.stream
        return StreamLoad(
            port=endpoint.port,
            request=endpoint.request(ask, stream=True),
            chunks=ask.chunks,
            connections=connections,
            warmup_s=warmup_s,
            seconds=seconds,
            ramp_s=ramp_s,
            deadline_s=deadline_s,
        )

    def _under(self, module: str, load: Load | StreamLoad, result: type[_Result]) -> tuple[_Result, Cost]:
        service = self._contender.service
        with service.running() if service else nullcontext():
            time.sleep(_SETTLE_S)
            before = self._cpu()
            found = generate(module, load, result)
            after = self._cpu()
            if service:
                service.check()
        spent = {name: after[0][name] - before[0].get(name, 0.0) for name in after[0]}
        return found, Cost(contender=sum(spent.values()), by_process=spent, upstream=after[1] - before[1])

    def _cpu(self) -> tuple[dict[str, float], float]:
        service = self._contender.service
        upstream = sum(cpu_seconds(tree(pid)) for pid in self._upstreams.pids)
        return (cpu_by_process(service.pid) if service else {}), upstream


def generate(module: str, load: Load | StreamLoad, result: type[_Result]) -> _Result:
    """Run a load generator in a process of its own, so that nothing else runs in it."""
    command = [sys.executable, "-m", module]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        try:
            output, _ = process.communicate(msgspec.json.encode(load))
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise BenchError(f"the load generator {module} ended with status {process.returncode}")
    return msgspec.json.decode(output, type=result)


@contextmanager
def _peak(pid: int) -> Iterator[list[ProcessSample]]:
    """A list that holds, at the end of the block, the processes as they were when they held most memory."""
    peak: list[ProcessSample] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            now = samples(pid)
            if total(now).rss > total(peak).rss:
                peak[:] = now

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()
