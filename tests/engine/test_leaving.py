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
from weebill.engine.store import ModelStore

LONG = 4000
WAIT_S = 90.0


@pytest.fixture(scope="module")
def base_url(compact_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A host that works on two requests at once."""
    with host(tmp_path_factory.mktemp("engine")) as running:
        running.boot(ModelStore(compact_model).find(MODEL), context=8192, parallel=2)
        yield running.ready().base_url


def ask(base_url: str, text: str = "Count.") -> socket.socket:
    """A connection on which a long answer has been asked for, as the gateway asks."""
    address = urlsplit(base_url)
    fields = {"messages": [{"role": "user", "content": text}], "max_tokens": LONG, "ignore_eos": True, "stream": True}
    body = json.dumps(fields).encode()
    connection = socket.create_connection((address.hostname, address.port), timeout=WAIT_S)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}"
    head += "\r\nContent-Type: application/json"
    connection.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def gauges(base_url: str) -> dict[str, float]:
    with client(base_url) as http:
        lines = [line.split() for line in http.get("/metrics").text.splitlines() if line.startswith("llamacpp:")]
    return {name.removeprefix("llamacpp:"): float(value) for name, value in lines}


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
