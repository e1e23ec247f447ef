"""Embeddings and ratings by models of this machine, through a whole installation, held to what others compute."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
from openai import OpenAI

from tests.e2e.installation import Installation, installation
from tests.embeddings import tiny_bert
from tests.embeddings.texts import DIFFERENT, SHORT, TEXTS, VECTORS
from tests.fixtures.model import EMBEDDING_MODEL
from weebill.config.paths import Home
from weebill.models.convert.conversion import conversion
from weebill.models.pull import add_file
from weebill.models.store import ModelStore
from weebill.supervisor.commands import Status, StatusRequest, ask

# A number of slots that is no part of a context's length, which takes some care (`llama_options`).
CONFIG: Final = """
[local]
models = ["minilm", "tiny-embed:1"]

[local.engine]
parallel = 6
threads = 1

[aliases]
small = { models = ["tiny-embed:1", "minilm"] }
"""
QUERY: Final = "blue sky"
DOCUMENTS: Final = ("red fire", "green grass", "blue water", "stone", "bird fish blue", "sky sky red", "fish", "grass")


def gguf(folder: Path, *, rerank: bool) -> Path:
    """A model of random weights, as GGUF."""
    tiny_bert.save(folder, tiny_bert.weights(rerank=rerank), rerank=rerank)
    path = folder / "model.gguf"
    with path.open("wb") as file:
        made = conversion(folder.name, [folder / "model.safetensors"], tiny_bert.files(folder), precision="F32")
        made.write(file, lambda done: None)
    return path


@pytest.fixture(scope="module")
def weebill(tmp_path_factory: pytest.TempPathFactory, embedding_model: Path) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("embeddings")
    shutil.copytree(embedding_model, folder / "models", symlinks=True)
    store = ModelStore(folder / "models")
    add_file(store, "tiny-embed:1", gguf(folder / "embed", rerank=False))
    add_file(store, "tiny-rerank:1", gguf(folder / "rerank", rerank=True))
    with installation(folder / "home", folder / "models", CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def client(weebill: Installation) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {weebill.key}"}
    with httpx.Client(base_url=f"{weebill.url}/v1", headers=headers, timeout=60) as client:
        yield client


def embed(client: httpx.Client, given: object, model: str = "minilm", **more: object) -> httpx.Response:
    return client.post("/embeddings", json={"model": model, "input": given, **more})


def vectors(answer: httpx.Response) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert [each["index"] for each in data] == list(range(len(data)))
    return np.array([each["embedding"] for each in data], np.float32)


def test_the_vectors_are_those_of_sentence_transformers(client: httpx.Client) -> None:
    answer = embed(client, TEXTS)
    found, recorded = vectors(answer), np.load(VECTORS).astype(np.float32)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
    alike = (found * recorded).sum(axis=1) / np.linalg.norm(recorded, axis=1)
    assert {number for number, cosine in enumerate(alike) if cosine < 0.999} == set(DIFFERENT)
    usage = answer.json()["usage"]
    assert usage["prompt_tokens"] == usage["total_tokens"] > 1000
    assert answer.json()["model"] == "minilm"


def test_openais_client_reads_them(weebill: Installation) -> None:
    with OpenAI(base_url=f"{weebill.url}/v1", api_key=weebill.key) as client:
        # It asks for base64 by itself.
        found = client.embeddings.create(model="minilm", input=[TEXTS[3], TEXTS[4], TEXTS[25]])
    question, answer, other = (np.array(each.embedding) for each in found.data)
    assert len(question) == 384
    assert question @ answer > 0.7 > question @ other


def test_base64_and_fewer_dimensions(client: httpx.Client) -> None:
    whole = vectors(embed(client, TEXTS[3]))[0]
    cut = vectors(embed(client, TEXTS[3], dimensions=64))[0]
    assert np.allclose(cut, whole[:64] / np.linalg.norm(whole[:64]), atol=1e-6)
    for dimensions in (64, None):
        more = {} if dimensions is None else {"dimensions": dimensions}
        text = embed(client, TEXTS[3], encoding_format="base64", **more).json()["data"][0]["embedding"]
        coded = np.frombuffer(base64.b64decode(text), "<f4")
        assert np.allclose(coded, whole if dimensions is None else cut, atol=1e-6)
    assert vectors(embed(client, TEXTS[3], dimensions=384)).shape == (1, 384)


def test_tokens_are_taken_as_they_are(client: httpx.Client) -> None:
    text = vectors(embed(client, "Hello"))
    assert np.allclose(vectors(embed(client, [101, 7592, 102])), text, atol=1e-5)
    assert np.allclose(vectors(embed(client, [[101, 7592, 102]] * 2)), text, atol=1e-5)


LONG: Final = "word " * 600
CHAT: Final = {"messages": [{"role": "user", "content": "Hi"}]}
REFUSED: Final[list[tuple[str, dict[str, Any], str, str]]] = [
    ("/embeddings", {"input": LONG}, "input", "context_length_exceeded"),
    ("/embeddings", {"input": ["a", LONG, "b"]}, "input[1]", "context_length_exceeded"),
    ("/embeddings", {"input": [[101], [7592] * 600]}, "input[1]", "context_length_exceeded"),
    ("/embeddings", {"input": [*["a"] * 40, LONG]}, "input[40]", "context_length_exceeded"),
    ("/embeddings", {"input": [*["a"] * 40, LONG, LONG]}, "input[40]", "context_length_exceeded"),
    ("/embeddings", {"input": [*["a"] * 40, LONG * 20]}, "input[40]", "context_length_exceeded"),
    ("/embeddings", {"input": [[101, 10_000_000]]}, "input", "invalid_value"),
    ("/embeddings", {"input": [{"image": "a"}]}, "input", "unsupported_parameter"),
    ("/embeddings", {"input": "a", "dimensions": 385}, "dimensions", "invalid_value"),
    ("/embeddings", {"model": "tiny-rerank:1", "input": "a"}, "model", "unsupported_endpoint"),
    ("/chat/completions", CHAT, "model", "unsupported_endpoint"),
    ("/responses", {"input": "Hi"}, "model", "unsupported_endpoint"),
    ("/rerank", {"query": "a", "documents": ["b", LONG]}, "documents[1]", "context_length_exceeded"),
    ("/rerank", {"query": "a", "documents": [*["b"] * 40, LONG]}, "documents[40]", "context_length_exceeded"),
    ("/rerank", {"query": LONG, "documents": ["b"] * 40}, "query", "context_length_exceeded"),
    ("/rerank", {"query": "a", "documents": ["b", {"image": "c"}]}, "documents[1]", "unsupported_parameter"),
    ("/chat/completions", {"model": "small", **CHAT}, "model", "unsupported_parameter"),
    ("/rerank", {"model": "tiny-rerank:1", "query": "red", "documents": ["sky", "red " * 70]}, "documents[1]",
     "context_length_exceeded"),
    ("/rerank", {"model": "tiny-rerank:1", "query": "red", "documents": ["sky", "red " * 9000]}, "documents[1]",
     "context_length_exceeded"),
    ("/rerank", {"model": "tiny-rerank:1", "query": "red " * 9000, "documents": ["sky"]}, "query",
     "context_length_exceeded"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "param", "code"), REFUSED)
def test_what_a_model_cannot_do_is_said(
    client: httpx.Client, path: str, body: dict[str, Any], param: str, code: str
) -> None:
    answer = client.post(path, json={"model": "minilm", **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code), error


def test_the_first_token_stands_for_the_text_where_the_model_has_it_so(client: httpx.Client) -> None:
    tensors = tiny_bert.weights(rerank=False)
    found = vectors(embed(client, ["red sky", "bird ."], "tiny-embed:1"))
    for vector, text in zip(found, ("red sky", "bird ."), strict=True):
        expected = tiny_bert.vector(tensors, [2, *tiny_bert.words(text), 3])
        assert vector @ expected / np.linalg.norm(expected) > 0.9999


@pytest.mark.parametrize("path", ["/rerank", "/v2/rerank"])
def test_documents_are_ranked_as_the_weights_say(weebill: Installation, client: httpx.Client, path: str) -> None:
    url = path if path == "/rerank" else f"{weebill.url}{path}"
    body = {"model": "tiny-rerank:1", "query": QUERY, "documents": DOCUMENTS}
    answer = client.post(url, json=body).json()
    tensors = tiny_bert.weights(rerank=True)
    expected = {number: tiny_bert.score(tensors, QUERY, text) for number, text in enumerate(DOCUMENTS)}
    order = sorted(expected, key=expected.__getitem__, reverse=True)
    assert [each["index"] for each in answer["results"]] == order
    for each in answer["results"]:
        assert each["relevance_score"] == pytest.approx(expected[each["index"]], abs=5e-2)
    best = client.post(url, json={**body, "top_n": 2, "return_documents": True}).json()["results"]
    assert [each["index"] for each in best] == order[:2]
    assert best[0]["document"] == {"text": DOCUMENTS[order[0]]}


@pytest.mark.parametrize("repeated", [1, 2])
def test_documents_are_ranked_by_their_vectors_where_a_model_makes_those(client: httpx.Client, repeated: int) -> None:
    # More than are sent at once if they are repeated, and short: how long ones are read is shown above.
    texts = [*TEXTS[1:SHORT]] * repeated
    body = {"model": "minilm", "query": TEXTS[0], "documents": texts}
    answer = client.post("/rerank", json=body).json()
    # Of sentence-transformers.
    recorded = np.load(VECTORS).astype(np.float32)
    known = np.tile(recorded[1:SHORT] @ recorded[0], repeated)
    results = answer["results"]
    assert sorted(each["index"] for each in results) == list(range(len(texts)))
    assert [each["relevance_score"] for each in results] == sorted(each["relevance_score"] for each in results)[::-1]
    close = [abs(each["relevance_score"] - known[each["index"]]) < 0.03 for each in results]
    assert np.mean(close) >= 0.9  # llama.cpp splits some texts into other tokens
    assert answer["usage"]["prompt_tokens"] > len(texts)
    best = client.post("/rerank", json={**body, "top_n": 2, "return_documents": True}).json()["results"]
    assert [each["document"]["text"] for each in best] == [texts[each["index"]] for each in results[:2]]


def test_the_list_of_models_says_what_each_is_for(client: httpx.Client) -> None:
    kinds = {card["id"]: card.get("kind") for card in client.get("/models").json()["data"]}
    assert (kinds["minilm"], kinds["tiny-embed:1"], kinds["tiny-rerank:1"]) == ("embedding", "embedding", "rerank")


def test_the_origin_of_a_converted_model_is_told(weebill: Installation) -> None:
    shown = " ".join(weebill.weebill("show", EMBEDDING_MODEL).split())
    assert "converted from model.safetensors (53aa51172d14)" in shown
    assert "quantization F16" in shown


def test_a_model_has_one_host_under_all_of_its_names(weebill: Installation, client: httpx.Client) -> None:
    assert np.allclose(vectors(embed(client, "Hello", "minilm:l6-v2")), vectors(embed(client, "Hello")))
    status = ask(Home(weebill.home), StatusRequest(), Status)
    assert [each.name for each in status.models if each.name.startswith("minilm")] == ["minilm"]
