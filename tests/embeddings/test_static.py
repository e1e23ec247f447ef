"""Static vectors, pulled from a hub and made here, through a whole installation; the library model2vec is the truth."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pytest
from model2vec import StaticModel
from openai import OpenAI
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tests.e2e.installation import Installation, installation
from tests.embeddings import tiny_bert
from tests.embeddings.test_served import gguf
from tests.models.hub import Repo, serving
from weebill.engine.static import tokens
from weebill.engine.static.model import StaticModel as Served
from weebill.engine.static.tokens import Tokens
from weebill.engine.trial import tried
from weebill.models.creating import create
from weebill.models.errors import ModelFormatError, UnfitError
from weebill.models.pull import add_file, pull
from weebill.models.recipe import Recipe
from weebill.models.store import ModelStore
from weebill.models.trial import Sample, by_engine

NAME: Final = "hf:acme/static"
DIMENSIONS: Final = 32
TEXTS: Final = (
    "Red sky.",
    "bird birds",
    "grass fire  water stone fish",
    "blue unheard-of sky",
    "unheard",
    "sk\u00fd RED",
)
CONFIG: Final = f"""
[local]
models = ["{NAME}"]

[local.engine]
context = 2048
"""


def tokenizer() -> Tokenizer:
    vocabulary = ("[PAD]", "[UNK]", *tiny_bert.WORDS)
    made = Tokenizer(models.WordPiece({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def saved(folder: Path, **more: np.ndarray) -> StaticModel:
    """A model that the library has written."""
    rows = len(more["weights"]) // 2 if "mapping" in more else tokenizer().get_vocab_size()
    table = np.random.default_rng(1).standard_normal((rows, DIMENSIONS)).astype(np.float32)
    renamed = {"token_mapping" if name == "mapping" else name: tensor for name, tensor in more.items()}
    made = StaticModel(table, tokenizer(), {"model_type": "model2vec"}, normalize=True, **renamed)
    made.save_pretrained(folder)
    return made


def in_folder_of_sentence_transformers(folder: Path) -> None:
    """Lays a model out as sentence-transformers does."""
    inner = folder / "0_StaticEmbedding"
    inner.mkdir()
    save_file({"embedding.weight": load_file(folder / "model.safetensors")["embeddings"]}, inner / "model.safetensors")
    (folder / "tokenizer.json").rename(inner / "tokenizer.json")
    (folder / "config.json").rename(folder / "config_sentence_transformers.json")
    (folder / "model.safetensors").unlink()


def repo(folder: Path) -> Repo:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return Repo({str(path.relative_to(folder)): path.read_bytes() for path in paths}, {"license": "mit"})


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.asarray((ours * theirs).sum(axis=1) / np.linalg.norm(theirs, axis=1))


@pytest.fixture(scope="module")
def weebill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("static")
    saved(folder / "made")
    store = ModelStore(folder / "models")
    with serving() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", hub.origin)
        hub.repos["acme/static"] = repo(folder / "made")
        pull(store, NAME)
    add_file(store, "tiny-embed:1", gguf(folder / "embed", rerank=False))
    with installation(folder / "home", folder / "models", CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def client(weebill: Installation) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {weebill.key}"}
    with httpx.Client(base_url=f"{weebill.url}/v1", headers=headers, timeout=60) as client:
        yield client


def vectors(client: httpx.Client, given: object, model: str = NAME) -> np.ndarray:
    answer = client.post("/embeddings", json={"model": model, "input": given})
    assert answer.status_code == 200, answer.text
    return np.array([each["embedding"] for each in answer.json()["data"]], np.float32)


def folder_of(weebill: Installation, name: str) -> Path:
    """The files of a model in the store, as an engine sees them."""
    return Path(json.loads(weebill.weebill("show", name, "--json"))["files"][0]["path"]).parent


def test_openais_client_gets_the_vectors_of_the_library(weebill: Installation) -> None:
    theirs = StaticModel.from_pretrained(folder_of(weebill, NAME)).encode(TEXTS * 20)
    with OpenAI(base_url=f"{weebill.url}/v1", api_key=weebill.key) as client:
        found = client.embeddings.create(model=NAME, input=[*TEXTS * 20])
    ours = np.array([each.embedding for each in found.data])
    known = np.linalg.norm(theirs, axis=1) > 0
    assert known.sum() == 100  # the other 20 have no word of the vocabulary
    assert np.allclose(np.linalg.norm(ours[known], axis=1), 1, atol=1e-6)
    assert (cosines(ours[known], theirs[known]) > 0.9999).all()
    assert not ours[~known].any()
    count = sum(len(each.ids) for each in tokenizer().encode_batch([*TEXTS * 20]))
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (count, count)


def test_fewer_dimensions_and_tokens(client: httpx.Client) -> None:
    whole = vectors(client, TEXTS[0])[0]
    cut = client.post("/embeddings", json={"model": NAME, "input": TEXTS[0], "dimensions": 8}).json()["data"][0]
    assert np.allclose(cut["embedding"], whole[:8] / np.linalg.norm(whole[:8]), atol=1e-6)
    ids = tokenizer().encode(TEXTS[0]).ids
    assert np.allclose(vectors(client, ids)[0], whole, atol=1e-6)
    assert np.allclose(vectors(client, [ids, ids])[1], whole, atol=1e-6)


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        ("/embeddings", {"input": ""}, "input", "invalid_value"),
        ("/embeddings", {"input": ["a", "red " * 3000]}, "input[1]", "context_length_exceeded"),
        ("/embeddings", {"input": [[1, 99]]}, "input", "invalid_value"),
        ("/embeddings", {"input": "a", "dimensions": 33}, "dimensions", "invalid_value"),
        ("/rerank", {"query": "a", "documents": ["b", "red " * 3000]}, "documents[1]", "context_length_exceeded"),
        (
            "/chat/completions",
            {"messages": [{"role": "user", "content": "Hi"}]},
            "model",
            "unsupported_endpoint",
        ),
    ],
)
def test_what_it_cannot_do_is_said(
    client: httpx.Client, path: str, body: dict[str, object], param: str, code: str
) -> None:
    answer = client.post(path, json={"model": NAME, **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code), error


def test_it_ranks_by_its_vectors(client: httpx.Client) -> None:
    documents = ["green grass", "blue water", "blue sky"]
    answer = client.post("/rerank", json={"model": NAME, "query": "sky blue", "documents": documents}).json()
    assert answer["results"][0] == {"index": 2, "relevance_score": pytest.approx(1, abs=1e-6)}


def test_it_is_kept_as_it_is_and_told_of(weebill: Installation, client: httpx.Client) -> None:
    shown = json.loads(weebill.weebill("show", NAME, "--json"))
    assert {each["name"] for each in shown["files"]} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert (shown["architecture"], shown["embedding"], shown["quantization"]) == ("model2vec", DIMENSIONS, "F32")
    assert (shown["task"], shown["licence"], shown["converted_from"]) == ("embed", "MIT", [])
    (host,) = weebill.children("weebill.engine")
    costs = ModelStore(folder_of(weebill, NAME).parents[1]).find(NAME).served().costs
    assert 30 << 20 < host.memory_info().rss < costs.of(2048, 4)
    assert f"{NAME} " in weebill.weebill("ps")
    assert f"{NAME} " in weebill.weebill("list")
    (listed,) = (each for each in client.get("/models").json()["data"] if each["id"] == NAME)
    assert (listed["kind"], listed["dimensions"]) == ("embedding", DIMENSIONS)


def test_one_is_made_of_an_embedding_model(weebill: Installation, client: httpx.Client) -> None:
    weebill.weebill("create", "fast:1", "--static-from", "tiny-embed:1")
    folder = folder_of(weebill, "fast:1")
    library = StaticModel.from_pretrained(folder)
    assert library.tokens == ("[UNK]", *tiny_bert.WORDS)
    theirs = library.encode(TEXTS[:4])
    assert (cosines(vectors(client, TEXTS[:4], "fast:1"), theirs) > 0.9999).all()
    # What is turned keeps its inner products: here no component is left out.
    tensors = tiny_bert.weights(rerank=False)
    alone = np.array([tiny_bert.vector(tensors, [2, token, 3]) for token in (1, *range(5, 18))], np.float64)
    alone -= alone.mean(axis=0)
    frequency = 1 / np.arange(2, 16)
    expected = alone * (1e-4 / (1e-4 + frequency / frequency.sum()))[:, None]
    rows = load_file(folder / "model.safetensors")["embeddings"].astype(np.float64)
    scale = np.abs(expected @ expected.T).max()
    assert np.allclose(rows @ rows.T, expected @ expected.T, atol=0.01 * scale)


ODD: Final = (
    *("don't stop_me-now", "A.B,c!?", "tab\tnew\nline\r\x0bodd\x00\x7f", "x" * 150, "", "  ", "1e-5 + \x1c"),
    *(
        "[UNK] and [unk]",
        "caf\u00e9",
        "\u65e5\u672c red",
        "\U0001f600 blue",
        "e\u0301",
        "\u00a0red\u2028sky",
        "STRASSE \u00df",
    ),
)


def test_words_that_were_met_are_taken_apart_as_the_library_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tokenizer()
    made.add_special_tokens(["[UNK]"])
    made.save(str(tmp_path / "tokenizer.json"))
    ours = Tokens.open(tmp_path / "tokenizer.json")
    texts = [*ODD, *TEXTS, "".join(map(chr, range(256))), "red" + chr(0x130) + "sky"]
    expected = [each.ids for each in made.encode_batch(texts, add_special_tokens=False)]
    for _ in range(2):
        assert [list(each) for each in ours.of(texts)] == expected
    monkeypatch.setattr(tokens, "_MOST_KEPT", 100)  # fewer than these texts have
    for _ in range(2):
        assert [list(each) for each in ours.of(texts)] == expected


def test_layouts_with_a_mapping_and_of_sentence_transformers(tmp_path: Path) -> None:
    size = tokenizer().get_vocab_size()
    random = np.random.default_rng(2)
    more = {"weights": random.random(size).astype(np.float32), "mapping": random.integers(0, size // 2, size)}
    mapped = saved(tmp_path / "mapped", **more)
    ours = Served.open(tmp_path / "mapped" / "model.safetensors", tmp_path / "mapped" / "tokenizer.json")
    assert (cosines(ours.vectors(ours.tokens.of(TEXTS[:4])), mapped.encode(TEXTS[:4])) > 0.9999).all()

    plain = saved(tmp_path / "plain")
    in_folder_of_sentence_transformers(tmp_path / "plain")
    store = ModelStore(tmp_path / "models")
    served = create(store, "nested:1", Recipe(str(tmp_path / "plain"))).served()
    assert (served.kind, served.dimensions, served.tokenizer is not None) == ("static", DIMENSIONS, True)
    assert served.tokenizer is not None
    ours = Served.open(served.path, served.tokenizer)
    assert (cosines(ours.vectors(ours.tokens.of(TEXTS[:4])), plain.encode(TEXTS[:4])) > 0.9999).all()


def with_tokenizer(folder: Path, **model: object) -> None:
    """Gives a model another kind of vocabulary."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": model}))


def with_table(folder: Path, *, factor: float = 1, dtype: str = "float32", last: float = 1) -> None:
    """Changes the vectors of a model."""
    table = load_file(folder / "model.safetensors")["embeddings"].astype(dtype) * factor
    table[-1] = last
    save_file({"embeddings": table}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: None, ""),
        (lambda folder: with_table(folder, last=np.nan), "it has vectors that are not finite"),
        (lambda folder: with_table(folder, last=np.inf), "it has vectors that are not finite"),
        # Of 32 bits, nor of a length in 32 bits.
        (lambda folder: with_table(folder, factor=1e300, dtype="float64"), "it has vectors that are not finite"),
        (lambda folder: with_table(folder, last=3e38), "it has vectors that are not finite"),
        (lambda folder: saved(folder, weights=np.full(15, np.nan, np.float32)), "weights of tokens that are not"),
        (
            lambda folder: with_tokenizer(folder, type="WordLevel", vocab={"a": 0}, unk_token="none"),
            "its tokenizer.json cannot take every text apart: .*unk_token|Missing",
        ),
        (lambda folder: with_tokenizer(folder, type="WordLevel", vocab={"a": 99}, unk_token="a"), "has 100"),
    ],
)
def test_what_cannot_be_answered_with_is_at_fault(tmp_path: Path, spoil: Callable[[Path], object], said: str) -> None:
    saved(tmp_path)
    spoil(tmp_path)
    sample = Sample(
        path=str(tmp_path / "model.safetensors"), tokenizer=str(tmp_path / "tokenizer.json"), size=0, kind="static"
    )
    try:
        fault = tried(sample).fault
    except ModelFormatError as error:
        fault = str(error)
    assert re.search(said, fault)
    assert bool(said) == bool(fault)


def test_one_at_fault_is_refused_before_it_has_a_name(tmp_path: Path) -> None:
    saved(tmp_path / "nan")
    with_table(tmp_path / "nan", last=np.nan)
    store = ModelStore(tmp_path / "models", by_engine)
    with pytest.raises(UnfitError, match=r"^The file model.safetensors cannot be used: it has vectors that are not"):
        create(store, "nan:1", Recipe(str(tmp_path / "nan")))
    assert store.list() == []
    with_table(tmp_path / "nan")
    assert create(store, "mended:1", Recipe(str(tmp_path / "nan"))).manifest.tried


def test_what_cannot_be_served_is_not_kept(tmp_path: Path) -> None:
    saved(tmp_path / "broken")
    table = load_file(tmp_path / "broken" / "model.safetensors")["embeddings"]
    store = ModelStore(tmp_path / "models")
    for tensors, said in (({"other": table}, "has no tensor embeddings"), ({"embeddings": table[0]}, "the shape")):
        save_file(tensors, tmp_path / "broken" / "model.safetensors")
        with pytest.raises(ModelFormatError, match=said):
            create(store, "broken:1", Recipe(str(tmp_path / "broken")))
    assert store.list() == []
    shutil.rmtree(tmp_path / "models")
