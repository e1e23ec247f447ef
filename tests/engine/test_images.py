"""A model with a projector, loaded and asked as the gateway does: tiny, but of true architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.engine.host_process import client, host
from tests.fixtures.vision import Kind, image_tokens, write_model, write_projector
from tests.images.pictures import BLUE, RED, data_url, plain, written
from weebill.models.pull import add_file
from weebill.models.store import ModelStore, ServedModel
from weebill.process.messages import Failed

CHAT: Final = "/v1/chat/completions"
BLUE_URL: Final = data_url(written(plain(64, 64, BLUE)))
RED_URL: Final = data_url(written(plain(64, 64, RED)))


def stored(folder: Path, kind: Kind) -> ServedModel:
    store = ModelStore(folder / "models")
    model, projector = write_model(folder / "tiny.gguf"), write_projector(folder / "mmproj.gguf", kind)
    return add_file(store, "tiny:eyes", model, projector=projector).served()


def ask(http: httpx.Client, *urls: str, **fields: Any) -> dict[str, Any]:
    content: Any = [{"type": "text", "text": "Hi"}, *({"type": "image_url", "image_url": {"url": url}} for url in urls)]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 6, "temperature": 0, "logprobs": True}
    response = http.post(CHAT, json=body | {"cache_prompt": False, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def probabilities(answer: dict[str, Any]) -> list[float]:
    return [each["logprob"] for each in answer["choices"][0]["logprobs"]["content"]]


@pytest.mark.parametrize("kind", ["mlp", "gemma3"])
def test_a_model_looks_at_images(tmp_path: Path, kind: Kind) -> None:
    with host(tmp_path) as running:
        running.boot(stored(tmp_path, kind), "tiny:eyes", context=1024, parallel=2, threads=1)
        with client(running.ready().base_url) as http:
            plainly, once, twice = ask(http), ask(http, BLUE_URL), ask(http, BLUE_URL, RED_URL)
            tokens = [each["usage"]["prompt_tokens"] for each in (plainly, once, twice)]
            marks = tokens[2] - tokens[1] - image_tokens(kind)
            assert tokens[1] - tokens[0] == image_tokens(kind) + marks
            assert 0 <= marks < 40  # llama.cpp's words around an image, letter by letter
            # What it sees decides what it says.
            assert probabilities(once) == pytest.approx(probabilities(ask(http, BLUE_URL)), abs=1e-4)
            assert probabilities(once) != pytest.approx(probabilities(ask(http, RED_URL)), abs=1e-3)


def test_an_image_is_read_in_one_step_where_its_tokens_see_each_other(tmp_path: Path) -> None:
    """In steps of eight tokens, as texts are, the answer would be another."""
    found = []
    for threads in (1, 64):
        folder = tmp_path / str(threads)
        folder.mkdir()
        with host(folder) as running:
            running.boot(stored(folder, "gemma3"), "tiny:eyes", context=1024, parallel=1, threads=threads)
            with client(running.ready().base_url) as http:
                found.append(probabilities(ask(http, BLUE_URL)))
    assert found[0] == pytest.approx(found[1], abs=1e-3)


def test_a_projector_that_is_none_is_named(tmp_path: Path) -> None:
    with host(tmp_path) as running:
        model = stored(tmp_path, "mlp")
        assert model.projector is not None
        damaged = tmp_path / "damaged.gguf"
        damaged.write_bytes(model.projector.read_bytes()[:2000])
        running.boot(ServedModel(path=model.path, projector=damaged), "tiny:eyes", context=512, parallel=1)
        failed = running.receive()
    assert isinstance(failed, Failed)
    assert "tiny:eyes" in failed.message
    assert "damaged.gguf" in failed.message
