"""The life of an engine host: it answers when it says so, and leaves when it must."""

import contextlib
import resource
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from tests.engine.host_process import EXIT_S, KINDS, Host, client, host
from tests.fixtures.model import MODEL
from weebill.engine.role import EngineReady
from weebill.models.store import ModelStore, ServedModel
from weebill.process.messages import Drain, Failed

ENDLESS = {"messages": [{"role": "user", "content": "Count."}], "max_tokens": 8000, "ignore_eos": True, "stream": True}


@dataclass(frozen=True)
class Answering:
    """A host, and what it said when it was ready."""

    host: Host
    ready: EngineReady


@pytest.fixture(scope="module")
def model(compact_model: Path) -> ServedModel:
    return ModelStore(compact_model).find(MODEL).served()


@pytest.fixture(params=KINDS)
def either(request: pytest.FixtureRequest, model: ServedModel) -> ServedModel:
    """The model with each engine that is installed."""
    return msgspec.structs.replace(model, kind=request.param)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Host]:
    with host(tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory, model: ServedModel) -> Iterator[Answering]:
    """A host that is ready, for all that do it no harm."""
    with host(tmp_path_factory.mktemp("answering")) as started:
        started.boot(model, context=512, parallel=2, max_waiting=16)
        yield Answering(started, started.ready())


def first_chunk(response: httpx.Response) -> Iterator[str]:
    """The rest of a stream, once its first chunk is there."""
    lines = response.iter_lines()
    assert next(lines).startswith("data: ")
    return lines


def test_ready_means_that_it_answers(answering: Answering) -> None:
    ready = answering.ready
    assert ready.context == 512
    assert ready.base_url.startswith("http://127.0.0.1:")
    with client(ready.base_url) as http:
        answer = http.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
        )
        assert answer.status_code == 200
        assert answer.json()["model"] == MODEL
        assert answer.json()["usage"]["completion_tokens"] <= 4


def test_nobody_else_may_ask(answering: Answering) -> None:
    base_url = answering.ready.base_url
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    for headers in ({}, {"authorization": "Bearer wrong"}):
        assert httpx.post(f"{base_url}/v1/chat/completions", json=body, headers=headers, timeout=60).status_code == 401
    with client(base_url) as http:
        assert http.get("/slots").status_code == 501
        assert http.get("/").status_code == 404
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(answering.host.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_it_leaves_when_the_link_closes(running: Host, tiny_model: ServedModel) -> None:
    running.boot(tiny_model, context=512)
    running.ready()
    running.link.close()
    assert running.exit_code() == 0


def test_it_leaves_in_the_middle_of_an_answer(running: Host, either: ServedModel) -> None:
    running.boot(either, context=8192, parallel=1)
    with (
        client(running.ready().base_url) as http,
        http.stream("POST", "/v1/chat/completions", json=ENDLESS) as response,
    ):
        rest = first_chunk(response)
        running.link.close()
        assert running.exit_code() == 0
        with pytest.raises(httpx.TransportError):
            list(rest)


def test_it_leaves_in_the_middle_of_a_load(running: Host, model: ServedModel) -> None:
    """A window so large that clearing its memory takes far longer than leaving may."""
    running.boot(model, context=8192, parallel=48)
    process = psutil.Process(running.process.pid)
    deadline = time.monotonic() + 60
    while process.memory_info().rss < 400 << 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    watchers = process.children()
    running.link.close()
    assert running.exit_code() != 1
    _, alive = psutil.wait_procs(watchers, timeout=EXIT_S)
    assert not alive


def test_it_leaves_if_there_is_never_a_boot(running: Host) -> None:
    running.link.close()
    assert running.exit_code() == 0


def test_a_killed_host_leaves_no_watcher_behind(running: Host, model: ServedModel) -> None:
    running.boot(model, context=8192, parallel=48)
    process = psutil.Process(running.process.pid)
    deadline = time.monotonic() + 60
    while not (watchers := process.children()):
        assert time.monotonic() < deadline
    process.kill()
    _, alive = psutil.wait_procs(watchers, timeout=EXIT_S)
    assert not alive


def test_an_idle_host_drains_at_once(running: Host, tiny_model: ServedModel) -> None:
    running.boot(tiny_model, context=512)
    running.ready()
    running.send(Drain(grace_s=600.0))
    assert running.exit_code() == 0


def test_draining_finishes_what_is_under_way(running: Host, either: ServedModel) -> None:
    running.boot(either, context=512, parallel=1)
    body = ENDLESS | {"max_tokens": 30}
    with client(running.ready().base_url) as http, http.stream("POST", "/v1/chat/completions", json=body) as response:
        rest = first_chunk(response)
        running.send(Drain(grace_s=600.0))
        assert "data: [DONE]" in list(rest)
    assert running.exit_code() == 0


def test_draining_ends_with_its_grace(running: Host, model: ServedModel) -> None:
    running.boot(model, context=8192, parallel=1)
    with (
        client(running.ready().base_url) as http,
        http.stream("POST", "/v1/chat/completions", json=ENDLESS) as response,
    ):
        rest = first_chunk(response)
        running.send(Drain(grace_s=0.5))
        assert running.exit_code() == 0
        with pytest.raises(httpx.TransportError):
            list(rest)


@pytest.mark.parametrize("content", [None, b"", b"GGUF", b"no model at all"])
def test_what_cannot_be_loaded_is_explained(running: Host, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.gguf"
    if content is not None:
        path.write_bytes(content)
    running.boot(ServedModel(path=path), "broken")
    message = running.receive()
    assert isinstance(message, Failed)
    assert str(path) in message.message
    assert "weebill pull" in message.message
    assert running.exit_code() == 1


def test_too_little_memory_is_explained(running: Host, model: ServedModel) -> None:
    running.boot(model, context=1 << 20, parallel=8)
    message = running.receive()
    assert isinstance(message, Failed)
    assert "[local.engine]" in message.message
    assert running.exit_code() == 1


def test_the_log_holds_nothing_of_a_request(running: Host, tiny_model: ServedModel) -> None:
    running.boot(tiny_model, context=512)
    secret = "xyzzy-plugh"
    bodies = (
        f'{{"messages": [{{"content": "{secret}"}}]}}',
        f'{{"messages": [{{"role": "user", "content": "{secret}"}},,]}}',
        f'{{"messages": [{{"role": "user", "content": "{secret}\\ud800"}}]}}',
        f'{{"messages": [{{"role": "user", "content": "{secret}"}}], "max_tokens": 2}}',
        f'{{"messages": [{{"role": "user", "content": "{f"{secret} " * 1000}"}}]}}',
        f'{{"messages": [{{"role": "user", "content": "Hi"}}], "max_tokens": 2, "grammar": "root ::= {secret} ((("}}',
        f'{{"prompt": "{secret}", "max_tokens": 2, "grammar": "%llguidance {{}}\\nstart: {secret}"}}',
    )
    with client(running.ready().base_url) as http:
        statuses = [
            http.post("/v1/chat/completions" if "messages" in body else "/v1/completions", content=body).status_code
            for body in bodies
        ]
    assert 200 in statuses
    assert 400 in statuses
    running.send(Drain(grace_s=30.0))
    assert running.exit_code() == 0
    assert "model loaded" in running.log.read_text()
    assert secret not in running.log.read_text()


def test_ctrl_c_in_the_terminal_is_the_supervisors_business(answering: Answering) -> None:
    answering.host.process.send_signal(signal.SIGINT)
    with client(answering.ready.base_url) as http:
        assert http.get("/health").status_code == 200
    assert answering.host.process.poll() is None


def test_more_connections_than_slots_and_waiting_requests_are_served(answering: Answering) -> None:
    base_url = answering.ready.base_url
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    statuses: list[int] = []

    def ask() -> None:
        with client(base_url) as http:
            statuses.append(http.post("/v1/chat/completions", json=body).status_code)

    threads = [threading.Thread(target=ask) for _ in range(18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 18


# Counted by nobody here: the engine is asked past the gateway.
GREEDY = {
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 4,
    "grammar": '%llguidance {}\nstart: %json {"type":"array","items":{"type":"integer"},"minItems":1000000000}',
}


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits as Linux has them")
@pytest.mark.parametrize("memory_mb", [0, 1500])
def test_a_request_for_all_memory_takes_no_more_than_the_limit(
    running: Host, model: ServedModel, memory_mb: int
) -> None:
    # Should the host's own limit fail, this one spares the machine.
    resource.prlimit(running.process.pid, resource.RLIMIT_AS, (6 << 30, 6 << 30))
    running.boot(model, context=512, parallel=2, memory_mb=memory_mb)
    base_url = running.ready().base_url
    limit, _ = resource.prlimit(running.process.pid, resource.RLIMIT_DATA)
    process, peak = psutil.Process(running.process.pid), 0
    assert process.memory_info().rss < limit < 4 << 30
    if memory_mb:
        assert limit == memory_mb << 20
    asked = threading.Thread(target=_ask_for_all, args=(base_url,))
    asked.start()
    while asked.is_alive():
        with contextlib.suppress(psutil.Error):
            peak = max(peak, process.memory_info().rss)
        time.sleep(0.01)
    # It died of it, alone, or refused the request and goes on.
    assert _is_healthy(base_url) or running.process.wait(timeout=30) != 0
    mapped = model.path.stat().st_size + (256 << 20)
    assert (200 << 20) < peak < limit + mapped


def _is_healthy(base_url: str) -> bool:
    try:
        with client(base_url) as http:
            return http.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _ask_for_all(base_url: str) -> None:
    with contextlib.suppress(httpx.TransportError), client(base_url) as http:
        http.post("/v1/chat/completions", json=GREEDY)
