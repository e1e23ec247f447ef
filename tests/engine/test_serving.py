"""An engine that is written in Python, as a host serves it: real connections, and a worker that does as it is told."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from weebill.engine.role import EngineBoot, HostSettings
from weebill.engine.serving.jobs import Job, RefusedError
from weebill.engine.serving.server import PythonServer

KEY = "serving-test-key"


class Panic(BaseException):
    """As libraries in Rust raise it."""


class Obedient:
    """Streams the words of a body, one a step; some it refuses, fails at, or holds back until it is told to go on."""

    paths = ("/v1/words",)
    parallel = 1

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.stuck = threading.Event()
        self.left: list[bytes] = []
        self._words: dict[Job, list[bytes]] = {}

    def begin(self, job: Job) -> None:
        match job.body:
            case b"whole":
                job.answer(b'{"whole":true}')
            case b"refuse":
                raise RefusedError.too_long("too many words", 9, 8)
            case b"fail":
                raise ValueError(job.body.decode())
            case b"panic":
                raise Panic
            case b"block":
                self.stuck.set()
                self.go_on.wait()
                job.answer(b"{}")
            case _:
                self._words[job] = job.body.split()

    def step(self, jobs: Collection[Job]) -> None:
        for job in jobs:
            words = self._words[job]
            if job.left:
                self.left.append(job.body)
                job.end()
            elif not words:
                job.end()
            elif words[0] == b"break":
                job.refuse(RefusedError.failed())
            elif words == [b"hold"]:
                time.sleep(0.01)
                if self.go_on.is_set():
                    words.clear()
            else:
                job.stream(words.pop(0))


@pytest.fixture
def worker() -> Iterator[Obedient]:
    found = Obedient()
    yield found
    found.go_on.set()


@pytest.fixture
def server(worker: Obedient) -> PythonServer:
    engine = HostSettings(context=8, parallel=1, max_waiting=2)
    return PythonServer(worker, EngineBoot(model="words", api_key=KEY, path="", engine=engine), 8)


@pytest.fixture
def client(server: PythonServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, headers={"authorization": f"Bearer {KEY}"}, timeout=30) as client:
        yield client


def ask(client: httpx.Client, body: str) -> httpx.Response:
    return client.post("/v1/words", content=body)


def wait_until(holds: object) -> None:
    until = time.monotonic() + 60
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.01)


def test_answers_whole_and_bit_by_bit(client: httpx.Client, server: PythonServer) -> None:
    assert ask(client, "whole").json() == {"whole": True}
    streamed = ask(client, "a b c")
    assert (streamed.headers["content-type"], streamed.text) == (
        "text/event-stream",
        "data: a\n\ndata: b\n\ndata: c\n\n",
    )
    assert client.get("/health", headers={"authorization": ""}).json() == {"status": "ok"}
    wait_until(server.is_idle)


@pytest.mark.parametrize(
    ("status", "kind", "path", "body", "key"),
    [
        (401, "authentication_error", "/v1/words", "whole", "another"),
        (404, "not_found_error", "/v1/other", "whole", KEY),
        (400, "exceed_context_size_error", "/v1/words", "refuse", KEY),
        (500, "server_error", "/v1/words", "fail", KEY),
        (500, "server_error", "/v1/words", "panic", KEY),
        (500, "server_error", "/v1/words", "break", KEY),
        (413, "invalid_request_error", "/v1/words", "a" * (65 << 20), KEY),
    ],
)
def test_errors_are_as_llama_cpps(client: httpx.Client, status: int, kind: str, path: str, body: str, key: str) -> None:
    found = client.post(path, content=body, headers={"authorization": f"Bearer {key}"})
    error = found.json()["error"]
    assert (found.status_code, error["code"], error["type"]) == (status, status, kind)
    assert ask(client, "whole").status_code == 200


def test_an_error_within_a_stream_is_an_event(client: httpx.Client) -> None:
    assert ask(client, "a break").text.startswith('data: a\n\ndata: {"error":{"code":500,')


def test_those_beyond_the_bound_are_refused_at_once(
    client: httpx.Client, server: PythonServer, worker: Obedient
) -> None:
    with ThreadPoolExecutor(4) as threads:
        first = [threads.submit(ask, client, "hold") for _ in range(3)]
        wait_until(lambda: server._application.open == 3)
        refused = ask(client, "whole")
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "unavailable_error")
        assert not server.is_idle()
        server.wait_for_loop()  # between two steps of what is being worked on
        worker.go_on.set()
        assert [each.result().status_code for each in first] == [200] * 3


@pytest.mark.parametrize("before", ["", "a "])
def test_work_for_a_client_that_leaves_ends(
    client: httpx.Client, server: PythonServer, worker: Obedient, before: str
) -> None:
    with contextlib.suppress(httpx.ReadTimeout):
        client.post("/v1/words", content=f"{before}hold", timeout=0.2)
    wait_until(server.is_idle)
    assert worker.left == [f"{before}hold".encode()]


def test_a_worker_that_is_stuck_gives_no_sign_of_life(
    client: httpx.Client, server: PythonServer, worker: Obedient
) -> None:
    alive = threading.Event()

    def wait() -> None:
        server.wait_for_loop()
        alive.set()

    with ThreadPoolExecutor(2) as threads:
        blocked = threads.submit(ask, client, "block")
        assert worker.stuck.wait(60)
        threads.submit(wait)
        assert not alive.wait(0.2)
        assert client.get("/health").status_code == 200  # the loop of the connections computes nothing
        worker.go_on.set()
        assert blocked.result().status_code == 200
        assert alive.wait(60)
