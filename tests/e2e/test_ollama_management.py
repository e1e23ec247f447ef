"""Ollama's Python client, unchanged, pulls, creates, copies and deletes models of a whole installation."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import ollama
import pytest

from tests.e2e.conftest import TINY
from tests.e2e.installation import Installation

HI: Final = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def client(tiny_weebill: Installation) -> Iterator[ollama.Client]:
    with ollama.Client(tiny_weebill.url, headers={"Authorization": f"Bearer {tiny_weebill.key}"}, timeout=60) as client:
        yield client


def names(client: ollama.Client) -> set[str | None]:
    return {model.model for model in client.list().models}


def test_a_model_of_an_uploaded_file(client: ollama.Client, tiny_gguf: Path) -> None:
    digest = client.create_blob(tiny_gguf)
    steps = list(
        client.create(
            "made:latest",
            files={"tiny.gguf": digest},
            system="Be brief.",
            parameters={"num_predict": 3, "temperature": 0.0, "stop": ["zz"], "num_ctx": 256},
            messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
            license=["MIT"],
            stream=True,
        )
    )
    assert steps[-1].status == "success"
    assert any(step.total == step.completed == tiny_gguf.stat().st_size for step in steps)
    assert "made" in names(client)
    plain = client.chat(TINY, HI, options={"num_predict": 3})
    answer = client.chat("made", HI)
    assert (answer.done_reason, answer.eval_count) == ("length", 3)
    assert (answer.prompt_eval_count or 0) > (plain.prompt_eval_count or 0) + 20
    assert {model.model: model.context_length for model in client.ps().models}["made"] == 256
    # Its own settings take precedence.
    assert client.chat("made:latest", HI, options={"num_predict": 1}, keep_alive="1h").eval_count == 1
    [kept] = [model.expires_at for model in client.ps().models if model.model == "made"]
    assert kept is not None
    assert 3500 < kept.timestamp() - time.time() <= 3600
    assert client.generate("made", keep_alive=0).done_reason == "unload"
    deadline = time.monotonic() + 60
    while "made" in {model.model for model in client.ps().models}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_another_quantization_a_copy_and_its_end(client: ollama.Client) -> None:
    assert client.create("small", from_=TINY, quantize="q4_0").status == "success"
    assert client.copy("small", "second").status == "success"
    assert {"small", "second"} <= names(client)
    assert client.delete("small").status == "success"
    assert "small" not in names(client)
    assert client.chat("second", HI, options={"num_predict": 2}).eval_count == 2


@pytest.mark.slow
def test_a_pull_tells_how_far_it_is(client: ollama.Client, tiny_gguf: Path) -> None:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tiny_gguf.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        name = f"http://127.0.0.1:{server.server_port}/{tiny_gguf.name}"
        steps = list(client.pull(name, stream=True))
        server.shutdown()
    assert [steps[0].status, steps[-1].status] == ["pulling manifest", "success"]
    assert (steps[-3].total, steps[-3].completed) == (tiny_gguf.stat().st_size, tiny_gguf.stat().st_size)
    assert name in names(client)


@pytest.mark.slow
def test_a_client_that_leaves_ends_the_work(tiny_weebill: Installation, client: ollama.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        steps = client.pull(f"http://127.0.0.1:{silent.getsockname()[1]}/never.gguf", stream=True)
        assert next(iter(steps)).status == "pulling manifest"
        assert len(tiny_weebill.children("weebill.models.work")) == 1
        steps.close()
        deadline = time.monotonic() + 60
        while tiny_weebill.children("weebill.models.work"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


REFUSALS: Final = (
    ("POST", "/api/pull", {"model": "no-such-model"}, 404, "does not know where to fetch"),
    ("POST", "/api/pull", {"model": "a", "insecure": True}, 400, "`insecure`"),
    ("POST", "/api/pull", {}, 400, "'model'"),
    ("POST", "/api/create", {"model": "a"}, 400, "`from` or `files`"),
    ("POST", "/api/create", {"model": "a", "from": "b", "renderer": "x"}, 400, "renderer"),
    ("POST", "/api/create", {"model": "a", "files": {"a.gguf": "0"}}, 400, "files"),
    ("POST", f"/api/blobs/sha256:{'0' * 64}", {}, 400, "must be 0000"),
    ("POST", "/api/blobs/md5:1", {}, 400, "sha256:"),
    ("POST", "/api/push", {"model": "a"}, 501, "not pushed"),
)


def test_refusals(tiny_weebill: Installation) -> None:
    headers = {"authorization": f"Bearer {tiny_weebill.key}"}
    for method, path, body, status, said in REFUSALS:
        answer = httpx.request(method, tiny_weebill.url + path, json=body, headers=headers, timeout=60)
        assert answer.status_code == status, answer.text
        assert said in answer.json()["error"]


def test_only_admins_change_the_models(tiny_weebill: Installation) -> None:
    user = tiny_weebill.weebill("keys", "create", "user", "--quiet").strip()
    for header, status in ((f"Bearer {user}", 403), ("Bearer sk-wb-wrong", 401), ("", 401)):
        headers = {"authorization": header}
        answer = httpx.post(f"{tiny_weebill.url}/api/pull", json={"model": "a"}, headers=headers, timeout=60)
        assert (answer.status_code, set(answer.json())) == (status, {"error"})
