"""The load generator: one thread, one epoll, closed loop. `python -m bench.load` < Load > Result (JSON).

Not asyncio and not `wrk`: a bare epoll loop costs about as little as `wrk` does, and yet it checks every
answer and times every request. An answer equal to one that was parsed and checked before needs no parsing.
"""

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

from bench.http import Answer, completion_text

_READ_BYTES = 65_536
_NS = 1_000_000_000


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """`connections` closed loops on 127.0.0.1:`port`, each sending `request` again once it is answered.

    Requests that end in the first `warmup_s` are not counted. `content` is the text that each answer must carry.
    """

    port: int
    request: bytes
    content: str
    connections: int
    warmup_s: float
    seconds: float
    drain_s: float = 15.0


class Latency(msgspec.Struct, frozen=True):
    """Microseconds."""

    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    max: float = 0.0

    @classmethod
    def of(cls, nanoseconds: list[int]) -> Latency:
        if not nanoseconds:
            return cls()
        ordered = sorted(nanoseconds)
        last = len(ordered) - 1
        return cls(*(ordered[round(last * share)] / 1000 for share in (0.5, 0.9, 0.99, 1.0)))


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """`requests` were answered rightly within `seconds`; `total` counts warm-up and drain too."""

    requests: int
    total: int
    seconds: float
    errors: int
    first_error: str
    latency: Latency
    own_cpu_s: float


class _Connection:
    def __init__(self, port: int) -> None:
        self.sock = connect(port)
        self.answer: Answer | None = None
        self.sent_at = 0


def connect(port: int) -> socket.socket:
    """A connected, non-blocking TCP socket without Nagle's delay."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


class _Generator:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._known = b""  # the body of an answer that was checked
        self._latencies: list[int] = []
        self._total = 0
        self._errors = 0
        self._first_error = ""
        self._epoll = select.epoll()
        self._open: dict[int, _Connection] = {}

    def run(self) -> LoadResult:
        load = self._load
        for _ in range(load.connections):
            self._connect()
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = perf_counter_ns()
        from_ns = started + int(load.warmup_s * _NS)
        to_ns = from_ns + int(load.seconds * _NS)
        for fd in list(self._open):
            self._send(fd)
        self._loop(from_ns, to_ns)
        after = resource.getrusage(resource.RUSAGE_SELF)
        for connection in self._open.values():
            connection.sock.close()
        return LoadResult(
            requests=len(self._latencies),
            total=self._total,
            seconds=load.seconds,
            errors=self._errors,
            first_error=self._first_error,
            latency=Latency.of(self._latencies),
            own_cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        )

    def _connect(self) -> None:
        connection = _Connection(self._load.port)
        self._open[connection.sock.fileno()] = connection
        self._epoll.register(connection.sock.fileno(), select.EPOLLIN)

    def _send(self, fd: int) -> None:
        self._open[fd].sent_at = perf_counter_ns()
        os.write(fd, self._load.request)  # some 500 bytes always fit an idle socket's buffer

    def _loop(self, from_ns: int, to_ns: int) -> None:
        """Until `to_ns`, then until what is under way is answered, `drain_s` at most."""
        give_up_ns = to_ns + int(self._load.drain_s * _NS)
        opened, latencies, request = self._open, self._latencies, self._load.request
        poll, read, write, clock = self._epoll.poll, os.read, os.write, perf_counter_ns
        waiting = len(opened)
        while waiting:
            now = clock()
            if now > give_up_ns:
                self._fail(f"{waiting} requests not answered {self._load.drain_s:.0f} s after the end")
                return
            known = self._known
            for fd, _ in poll(1.0):
                connection = opened[fd]
                try:
                    data = read(fd, _READ_BYTES)
                except OSError as error:
                    data = b""
                    self._fail(str(error))
                whole = known and data.endswith(known) and data.startswith(b"HTTP/1.1 200") and not connection.answer
                if not whole:
                    outcome = self._parse(connection, data)
                    if outcome is None:
                        continue
                    if not outcome:
                        waiting -= 1
                        waiting += self._replace(fd, clock() < to_ns)
                        continue
                now = clock()
                self._total += 1
                if from_ns <= now < to_ns:
                    latencies.append(now - connection.sent_at)
                if now < to_ns:
                    connection.sent_at = now
                    write(fd, request)
                else:
                    waiting -= 1

    def _parse(self, connection: _Connection, data: bytes) -> bool | None:
        """Whether the answer is right and the connection may be used again; None while it is incomplete."""
        if not data:
            self._fail("connection closed before the answer was complete")
            return False
        answer = connection.answer = connection.answer or Answer()
        try:
            answer.feed(data)
            if not answer.complete:
                return None
            connection.answer = None
            body = b"".join(answer.pieces)
            if answer.status != 200:
                self._fail(f"status {answer.status}: {body[:200].decode(errors='replace')}")
                return False
            if completion_text(body) != self._load.content:
                self._fail(f"wrong content: {body[:200].decode(errors='replace')}")
                return False
        except (httptools.HttpParserError, msgspec.MsgspecError) as error:
            self._fail(f"{type(error).__name__}: {error}")
            return False
        if len(answer.pieces) == 1 and data.endswith(body):
            self._known = body
        return True

    def _replace(self, fd: int, again: bool) -> int:
        """Close a failed connection; open and use another if the run still goes on. Returns how many wait."""
        self._epoll.unregister(fd)
        self._open.pop(fd).sock.close()
        if not again or self._errors > 1000:
            return 0
        self._connect()
        self._send(next(reversed(self._open)))
        return 1

    def _fail(self, message: str) -> None:
        self._errors += 1
        self._first_error = self._first_error or message


def main() -> None:
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    gc.disable()
    sys.stdout.buffer.write(msgspec.json.encode(_Generator(load).run()))


if __name__ == "__main__":
    main()
