"""Requests while they are under way: who leaves them, what ends them, how they are counted, how many there may be."""

import asyncio
import json

import httpx
import pytest

from tests.fixtures.upstream import (
    Upstream,
    answer,
    chunk,
    complete,
    completion,
    hang,
    stream,
)
from tests.fixtures.worker import RunningWorker
from tests.gateway.test_inference import CHAT, HELLO, STREAMED, error_of
from weebill.process.messages import Drain


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_takes_the_upstream_call_with_it(
    worker: RunningWorker, upstream: Upstream, streamed: bool
) -> None:
    upstream.script = stream(chunk(begins=True), *[chunk("x")] * 1000, pause_s=0.01) if streamed else hang()
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    body = json.dumps(STREAMED if streamed else HELLO).encode()
    writer.write(post_head(worker, len(body)) + body)
    for _ in range(3 * streamed):
        await reader.readuntil(chunk("x"))
    async with asyncio.timeout(60):
        while not upstream.requests:
            await asyncio.sleep(0.005)
    writer.close()
    await asyncio.wait_for(upstream.requests[0].closed.wait(), 60)
    # Whom no timeout has ended, and no end of the answer: the outcomes of those are others.
    record = await worker.record()
    assert (record.status, record.outcome, record.measured) == (499, "client_cancelled", False)
    assert record.prompt_tokens > 0
    assert (record.completion_tokens > 0) == streamed


def post_head(worker: RunningWorker, length: int) -> bytes:
    """The head of a chat request with a body of that many bytes."""
    lines = (f"POST {CHAT} HTTP/1.1", "host: x", f"authorization: Bearer {worker.key}", f"content-length: {length}")
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


async def test_a_body_too_large_is_recorded_as_what_the_client_was_told(worker: RunningWorker) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    writer.write(post_head(worker, 10**12) + b"{")
    assert b" 413 " in await reader.readline()
    writer.close()
    record = await worker.record()
    assert (record.status, record.outcome) == (413, "rejected")


async def test_what_a_drain_cuts_off_is_not_put_down_to_the_client(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = hang()
    call = asyncio.create_task(worker.client.post(CHAT, json=HELLO))
    async with asyncio.timeout(60):
        while not upstream.requests:
            await asyncio.sleep(0.005)
    worker.link.send(Drain(grace_s=0.05))
    with pytest.raises(httpx.TransportError):
        await call
    assert await asyncio.wait_for(worker.process.wait(), 60) == 0
    record = await worker.record()
    assert (record.status, record.outcome, record.measured) == (503, "gateway_error", False)


async def test_times_are_finer_than_milliseconds(worker: RunningWorker) -> None:
    for _ in range(5):
        await worker.client.post(CHAT, json=HELLO)
    await worker.record(5)
    assert any(record.total_us % 1000 for record in worker.records())
    assert any(record.first_byte_us % 1000 for record in worker.records())


async def test_connections_and_requests_under_way_are_shown(worker: RunningWorker, upstream: Upstream) -> None:
    async def shown(connections: int, in_flight: int) -> None:
        lines = {f'weebill_connections{{worker="0"}} {connections}', f'weebill_in_flight{{worker="0"}} {in_flight}'}
        async with asyncio.timeout(60):
            while not lines <= set((await worker.client.get("/metrics")).text.splitlines()):
                await asyncio.sleep(0.05)

    upstream.script = hang()
    await shown(1, 0)
    _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    body = json.dumps(HELLO).encode()
    writer.write(post_head(worker, len(body)) + body)
    await shown(2, 1)
    writer.close()
    await shown(1, 0)


async def test_who_looks_on_is_no_request_under_way(worker: RunningWorker) -> None:
    asked = asyncio.Event()

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(control, worker.home.control_socket):
        _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(b"GET /api/v1/live HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        await asyncio.wait_for(asked.wait(), 60)
        expected = {'weebill_connections{worker="0"} 2', 'weebill_in_flight{worker="0"} 0'}
        async with asyncio.timeout(60):
            while not expected <= set((await worker.client.get("/metrics")).text.splitlines()):
                await asyncio.sleep(0.05)
        writer.close()


async def test_no_more_requests_at_once_than_the_upstream_may_have(worker: RunningWorker, upstream: Upstream) -> None:
    release = asyncio.Event()

    async def script(request: object, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer(200, json.dumps(completion()).encode()))

    upstream.script = script
    calls = [asyncio.create_task(worker.client.post(CHAT, json=HELLO)) for _ in range(8)]
    async with asyncio.timeout(60):
        while len(upstream.requests) < 8:
            await asyncio.sleep(0.01)
    refused = await worker.client.post(CHAT, json=HELLO)
    assert refused.status_code == 503
    assert error_of(refused)["code"] == "overloaded"
    assert refused.headers["retry-after"] == "1"
    release.set()
    assert {response.status_code for response in await asyncio.gather(*calls)} == {200}


async def test_each_request_is_counted(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = complete()
    for _ in range(3):
        await worker.client.post(CHAT, json=HELLO)
    await worker.client.post(CHAT, json={})
    text = (await worker.client.get("/metrics")).text
    assert 'weebill_requests_total{endpoint="chat.completions",status="200"} 3' in text
    assert 'weebill_requests_total{endpoint="chat.completions",status="400"} 1' in text
    assert 'weebill_tokens_total{model="gpt-4o-mini",kind="prompt"} 36' in text
    assert 'weebill_upstream_requests_total{upstream="acme",outcome="ok"} 3' in text
    assert worker.key not in text
