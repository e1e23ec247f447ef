"""The load generator for event streams. `python -m bench.streams` < StreamLoad > StreamResult (JSON)."""

from __future__ import annotations

import gc
import os
import resource
import select
import socket
import sys
from time import perf_counter_ns

import httptools
import msgspec

from bench.http import STREAM_END
from bench.load import Latency
from bench.upstream import MARKER

_READ_BYTES = 65_536
_NS = 1_000_000_000
_SETTLE = len(STREAM_END) + 8


class StreamLoad(msgspec.Struct, frozen=True, kw_only=True):
    """`connections` streams at once from 127.0.0.1:`port`, each of `chunks` chunks.

    With `seconds`, each connection asks again when its stream has ended, and what ends in the first
    `warmup_s` is not counted; with `seconds` 0 each does so once, all begin within `ramp_s`, and
    those not complete after `deadline_s` count as failed.
    """

    port: int
    request: bytes
    chunks: int
    connections: int
    warmup_s: float = 0.0
    seconds: float = 0.0
    ramp_s: float = 0.0
    deadline_s: float = 60.0


class StreamResult(msgspec.Struct, frozen=True, kw_only=True):
    """`chunks` arrived within `seconds`; `total_chunks` counts warm-up and drain too."""

    complete: int
    failed: int
    first_error: str
    most_at_once: int
    chunks: int
    total_chunks: int
    seconds: float
    first_chunk: Latency
    own_cpu_s: float


class _Stream:
    """One response as it comes. Counts markers rather than events: a peer may re-encode what it relays."""

    __slots__ = ("_parser", "chunks", "complete", "sent_at", "sock", "tail")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._parser = httptools.HttpResponseParser(self)
        self.reset()

    def reset(self) -> None:
        self.chunks = 0
        self.complete = False
        self.tail = b""
        self.sent_at = perf_counter_ns()

    def on_body(self, piece: bytes) -> None:
        joined = self.tail[1 - len(MARKER) :] + piece  # too short for a marker that was counted already
        self.chunks += joined.count(MARKER)
        self.tail = (self.tail + piece)[-_SETTLE:] if len(piece) < _SETTLE else piece[-_SETTLE:]

    def on_message_complete(self) -> None:
        self.complete = True

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def fault(self, chunks: int) -> str:
        """What is wrong with a stream that has ended; empty if nothing is."""
        status = self._parser.get_status_code()
        if status != 200 or not self.complete or self.chunks != chunks or STREAM_END not in self.tail:
            return (
                f"status {status}, {self.chunks} of {chunks} chunks, ended with {self.tail.decode(errors='replace')!r}"
            )
        return ""


class _Generator:
    def __init__(self, load: StreamLoad) -> None:
        self._load = load
        self._epoll = select.epoll()
        self._open: dict[int, _Stream] = {}
        self._first_chunks: list[int] = []
        self._complete = self._failed = self._most = self._active = self._chunks = self._total = 0
        self._first_error = ""

    def run(self) -> StreamResult:
        load = self._load
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = perf_counter_ns()
        from_ns = started + int(load.warmup_s * _NS)
        to_ns = from_ns + int(load.seconds * _NS)
        give_up_ns = max(to_ns, started) + int(load.deadline_s * _NS)
        opened = 0
        while opened < load.connections or self._open:
            now = perf_counter_ns()
            due = load.connections
            if load.ramp_s:
                due = min(due, 1 + int((now - started) / _NS / load.ramp_s * load.connections))
            for _ in range(due - opened):
                self._connect()
            opened = due
            if now > give_up_ns:
                self._give_up()
                break
            self._turn(from_ns, to_ns)
        after = resource.getrusage(resource.RUSAGE_SELF)
        return StreamResult(
            complete=self._complete,
            failed=self._failed,
            first_error=self._first_error,
            most_at_once=self._most,
            chunks=self._chunks,
            total_chunks=self._total,
            seconds=load.seconds or (perf_counter_ns() - started) / _NS,
            first_chunk=Latency.of(self._first_chunks),
            own_cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        )

    def _connect(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(("127.0.0.1", self._load.port))
        self._open[sock.fileno()] = _Stream(sock)
        self._epoll.register(sock.fileno(), select.EPOLLOUT)

    def _turn(self, from_ns: int, to_ns: int) -> None:
        """Handle what is ready now."""
        once = not self._load.seconds
        for fd, events in self._epoll.poll(0.005):
            stream = self._open[fd]
            try:
                if events & select.EPOLLOUT:
                    self._epoll.modify(fd, select.EPOLLIN)
                    self._ask(fd, stream)
                    continue
                data = os.read(fd, _READ_BYTES)
                now = perf_counter_ns()
                before = stream.chunks
                stream.feed(data)
            except (OSError, httptools.HttpParserError) as error:
                self._fail(fd, stream, f"{type(error).__name__}: {error}")
                continue
            gained = stream.chunks - before
            counted = once or from_ns <= now < to_ns
            self._total += gained
            self._chunks += gained if counted else 0
            if gained and not before:
                self._active += 1
                self._most = max(self._most, self._active)
                if counted:
                    self._first_chunks.append(now - stream.sent_at)
            if not data or stream.complete:
                if fault := stream.fault(self._load.chunks):
                    self._fail(fd, stream, fault)
                    continue
                self._complete += 1
                self._active -= 1
                if now < to_ns:
                    self._ask(fd, stream)
                else:
                    self._close(fd, stream)

    def _ask(self, fd: int, stream: _Stream) -> None:
        stream.reset()
        os.write(fd, self._load.request)

    def _fail(self, fd: int, stream: _Stream, message: str) -> None:
        """A failed stream's connection is not opened again: the failure is the result."""
        self._failed += 1
        self._first_error = self._first_error or message
        self._active -= 1 if stream.chunks else 0
        self._close(fd, stream)

    def _close(self, fd: int, stream: _Stream) -> None:
        self._epoll.unregister(fd)
        del self._open[fd]
        stream.sock.close()

    def _give_up(self) -> None:
        for fd, stream in list(self._open.items()):
            self._fail(fd, stream, f"not complete after {self._load.deadline_s:.0f} s: {stream.chunks} chunks")


def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=StreamLoad)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(_Generator(load).run()))


if __name__ == "__main__":
    main()
