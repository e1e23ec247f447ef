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

from tests.decoders import tiny
from tests.decoders.engine import converted
from tests.e2e.installation import Installation, installation
from weebill.models.creating import create
from weebill.models.recipe import Recipe
from weebill.models.store import ModelStore

CONFIG: Final = """
[local]
models = ["tiny-llama:1"]

[local.engine]
parallel = 1
threads = 1
context = 512
"""
HI: Final = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    tiny.save(folder, tiny.FAMILIES["llama"], max_position_embeddings=1024)
    return converted(folder, "F16")[0]


@pytest.fixture(scope="module")
def weebill(tmp_path_factory: pytest.TempPathFactory, gguf: Path) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("managed")
    create(ModelStore(folder / "models"), "tiny-llama:1", Recipe(str(gguf)))
    with installation(folder / "home", folder / "models", CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def client(weebill: Installation) -> Iterator[ollama.Client]:
    with ollama.Client(weebill.url, headers={"Authorization": f"Bearer {weebill.key}"}, timeout=60) as client:
        yield client


def names(client: ollama.Client) -> set[str | None]:
    return {model.model for model in client.list().models}


def test_a_model_of_an_uploaded_file(client: ollama.Client, gguf: Path) -> None:
    digest = client.create_blob(gguf)
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
    assert any(step.total == step.completed == gguf.stat().st_size for step in steps)
    assert "made" in names(client)
    plain = client.chat("tiny-llama:1", HI, options={"num_predict": 3})
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
    deadline = time.monotonic() + 20
    while "made" in {model.model for model in client.ps().models}:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_another_quantization_a_copy_and_its_end(client: ollama.Client) -> None:
    assert client.create("small", from_="tiny-llama:1", quantize="q4_0").status == "success"
    assert client.copy("small", "second").status == "success"
    assert {"small", "second"} <= names(client)
    assert client.delete("small").status == "success"
    assert "small" not in names(client)
    assert client.chat("second", HI, options={"num_predict": 2}).eval_count == 2


@pytest.mark.slow
def test_a_pull_tells_how_far_it_is(client: ollama.Client, gguf: Path) -> None:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(gguf.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        name = f"http://127.0.0.1:{server.server_port}/F16.gguf"
        steps = list(client.pull(name, stream=True))
        server.shutdown()
    assert [steps[0].status, steps[-1].status] == ["pulling manifest", "success"]
    assert (steps[-3].total, steps[-3].completed) == (gguf.stat().st_size, gguf.stat().st_size)
    assert name in names(client)


@pytest.mark.slow
def test_a_client_that_leaves_ends_the_work(weebill: Installation, client: ollama.Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        steps = client.pull(f"http://127.0.0.1:{silent.getsockname()[1]}/never.gguf", stream=True)
        assert next(iter(steps)).status == "pulling manifest"
        assert len(weebill.children("weebill.models.work")) == 1
        steps.close()
        deadline = time.monotonic() + 20
        while weebill.children("weebill.models.work"):
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


def test_refusals(weebill: Installation) -> None:
    headers = {"authorization": f"Bearer {weebill.key}"}
    for method, path, body, status, said in REFUSALS:
        answer = httpx.request(method, weebill.url + path, json=body, headers=headers, timeout=60)
        assert answer.status_code == status, answer.text
        assert said in answer.json()["error"]


def test_only_admins_change_the_models(weebill: Installation) -> None:
    user = weebill.weebill("keys", "create", "user", "--quiet").strip()
    for header, status in ((f"Bearer {user}", 403), ("Bearer sk-wb-wrong", 401), ("", 401)):
        answer = httpx.post(f"{weebill.url}/api/pull", json={"model": "a"}, headers={"authorization": header})
        assert (answer.status_code, set(answer.json())) == (status, {"error"})
