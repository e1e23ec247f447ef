"""What is sent of an answer that cannot be recorded, and what routing is told of one, for endpoints of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import pytest

from weebill.config.limits import LimitSettings
from weebill.gateway.answering import Answering, Fail
from weebill.gateway.failures import unmetered
from weebill.gateway.memory import Answers
from weebill.gateway.meter import Meter
from weebill.gateway.opened import StreamingResponse
from weebill.gateway.recorder import Recorder
from weebill.gateway.request import Request
from weebill.providers.base import Answer, ByteStream
from weebill.providers.operations import ENDPOINTS
from weebill.providers.operations.base import Operation
from weebill.providers.operations.streams import EventRelay, SoundRelay
from weebill.routing.attempts import Attempts
from weebill.routing.deployments import Upstream
from weebill.transport.client import Response
from weebill.transport.exchange import Exchange
from weebill.usage.records import Outcome
from weebill.wire import sse
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage

[EMBEDDINGS] = [each for each in ENDPOINTS if each.name == "embeddings"]
CALL = EMBEDDINGS.decode_request(b'{"model": "m", "input": "Hi"}', b"application/json")


@dataclass
class Written:
    """An exchange that keeps what the client is sent."""

    responded: bool = False
    body: bytes = b""
    end: str = ""
    status: int = 0
    request_id: str = "r"
    tally: None = None

    def start(self, status: int, headers: bytes) -> None:
        assert not self.responded
        self.responded, self.status = True, status

    def respond(self, status: int, headers: bytes, body: bytes) -> None:
        self.start(status, headers)
        self.body, self.end = body, "finished"

    def write(self, data: bytes) -> None:
        self.body += data

    def finish(self) -> None:
        self.end = "finished"

    def abort(self) -> None:
        self.end = "aborted"

    async def drain(self) -> None:
        pass


class FullDisk:
    """A recorder that fails, whatever it is told."""

    def settle(self, meter: Meter, status: int, outcome: Outcome) -> None:
        raise unmetered()


class Told:
    """A recorder that succeeds."""

    def settle(self, meter: Meter, status: int, outcome: Outcome) -> None:
        pass


@dataclass
class Noted:
    """Attempts that keep what they are told of a success."""

    log: tuple[()] = ()
    successes: list[tuple[float, bool]] = field(default_factory=list)

    def answering(self) -> None:
        pass

    def succeeded(self, now: float, first_at: float = 0.0, tokens: int = 0, *, stream: bool = False) -> None:
        self.successes.append((first_at, stream))


def request(written: Written) -> Request[Operation, OperationCall]:
    asked: Request[Operation, OperationCall] = Request(cast("Exchange", written), EMBEDDINGS)
    asked.call = CALL
    asked.meter = Meter("r", "k", EMBEDDINGS.name, 0.0)
    asked.meter.first_byte_at = 5.0
    return asked


def fed(stream: ByteStream, *data: bytes) -> StreamingResponse:
    held = b"".join([stream.feed(each) for each in data])
    return StreamingResponse(cast("Upstream", None), cast("Response", None), stream, held, 7.0)


EVENT = b'data: {"type":"speech.audio.done"}\n\n'
STREAMS: list[tuple[Callable[[], StreamingResponse], Fail | None, str, bytes]] = [
    (lambda: fed(EventRelay(CALL), EVENT), sse.error_event, "finished", sse.error_event(unmetered())),
    (lambda: fed(SoundRelay(CALL, b"audio/mpeg"), b"sound"), None, "aborted", b"sound"),
]


@pytest.mark.parametrize(("opened", "fail", "end", "last"), STREAMS)
async def test_a_stream_that_cannot_be_recorded_does_not_look_complete(
    opened: Callable[[], StreamingResponse], fail: Fail | None, end: str, last: bytes
) -> None:
    written, noted = Written(), Noted()
    answering = Answering(cast("Recorder", FullDisk()), Answers(LimitSettings()))
    await answering.streamed(request(written), opened(), cast("Attempts", noted), b"", fail, events=fail is not None)
    assert (written.status, written.end) == (200, end)
    assert written.body.endswith(last)


async def test_routing_is_told_how_fast_operations_are() -> None:
    noted = Noted()
    answering = Answering(cast("Recorder", Told()), Answers(LimitSettings()))
    attempts = cast("Attempts", noted)
    await answering.complete(request(Written()), Answer(b"{}", Usage()), attempts)
    await answering.streamed(request(Written()), fed(EventRelay(CALL), EVENT), attempts, b"", sse.error_event)
    assert noted.successes == [(5.0, False), (7.0, True)]
