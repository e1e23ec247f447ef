"""A client that leaves in the middle of an answer ends its generation: seen at the socket, by what the engine says."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.engine.host_process import KEY, client, host
from tests.fixtures.model import MODEL
from weebill.models.store import ModelStore
from weebill.providers.base import Target
from weebill.providers.llamacpp.relay import LLAMACPP_RELAY
from weebill.wire.body import decode_chat

LONG = 4000
WAIT_S = 90.0


@pytest.fixture(scope="module")
def base_url(compact_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A host that works on two requests at once."""
    with host(tmp_path_factory.mktemp("engine")) as running:
        running.boot(ModelStore(compact_model).find(MODEL).served(), context=8192, parallel=2)
        yield running.ready().base_url


def ask(base_url: str, text: str = "Count.", slot: int = -1) -> socket.socket:
    """A connection on which a long answer has been asked for, as the gateway asks."""
    address = urlsplit(base_url)
    asked = {"model": MODEL, "max_tokens": LONG, "ignore_eos": True, "stream": True}
    call = decode_chat(json.dumps({**asked, "messages": [{"role": "user", "content": text}]}).encode())
    fields = json.loads(LLAMACPP_RELAY.encode(call, Target(model=MODEL)).body)
    body = json.dumps({**fields, "id_slot": slot}).encode()
    connection = socket.create_connection((address.hostname, address.port), timeout=WAIT_S)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}"
    head += "\r\nContent-Type: application/json"
    connection.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


# Half of the window: read for minutes on one slow core.
PROMPT = " ".join(["alpha", "beta", "gamma", "delta", "river", "stone"] * 700)


def gauges(base_url: str) -> dict[str, float]:
    with client(base_url) as http:
        lines = [line.split() for line in http.get("/metrics").text.splitlines() if line.startswith("llamacpp:")]
    return {name.removeprefix("llamacpp:"): float(value) for name, value in lines}


def receive_until(connection: socket.socket, words: bytes, times: int = 1) -> None:
    seen = b""
    while seen.count(words) < times:
        more = connection.recv(65536)
        assert more, seen
        seen += more


def wait_until(base_url: str, processing: int, deferred: int) -> dict[str, float]:
    deadline = time.monotonic() + WAIT_S
    while True:
        found = gauges(base_url)
        if (found["requests_processing"], found["requests_deferred"]) == (processing, deferred):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def test_in_the_middle_of_an_answer(base_url: str) -> None:
    before = gauges(base_url)["tokens_predicted_total"]
    with ask(base_url) as connection:
        seen = b""
        while seen.count(b"data: ") < 5:
            seen += connection.recv(65536)
    after = wait_until(base_url, 0, 0)["tokens_predicted_total"]
    # Of 4,000 tokens; what is told of the cut answer may be none at all.
    assert after - before < LONG / 4


def test_others_go_on(base_url: str) -> None:
    with ask(base_url) as staying:
        with ask(base_url) as leaving:
            assert leaving.recv(65536)
        wait_until(base_url, 1, 0)
        seen = b""
        while seen.count(b"data: ") < 20:
            seen += staying.recv(65536)
        assert b"HTTP/1.1 200" in seen
    wait_until(base_url, 0, 0)


def test_while_the_prompt_is_read(base_url: str) -> None:
    before = gauges(base_url)["prompt_tokens_total"]
    with ask(base_url, PROMPT) as connection:
        receive_until(connection, b'"prompt_progress"')
    after = wait_until(base_url, 0, 0)["prompt_tokens_total"]
    # Of 4,200 words; what was read of a prompt that was given up may not be told at all.
    assert after - before < 2000


def test_others_write_on_while_a_prompt_is_read(base_url: str) -> None:
    # A step reads for one slot after the other, in their order: one that comes later waits until it may begin.
    with ask(base_url, PROMPT, slot=1) as reading:
        receive_until(reading, b'"prompt_progress"')
        with ask(base_url, slot=0) as writing:
            receive_until(writing, b'"content":"', 3)
            # Still being read: nothing has been written for it.
            reading.setblocking(False)
            assert b'"content":"' not in reading.recv(1 << 20)
    wait_until(base_url, 0, 0)
