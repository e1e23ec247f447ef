"""The choice of the engine for a model, by what was measured on this machine."""

import errno
import json
from pathlib import Path

import msgspec
import pytest

from weebill.models import engine_figures
from weebill.models.curated import Sampling
from weebill.models.engine_choice import Comparison, Figures, chosen, objections
from weebill.models.errors import DiskFullError, ModelFormatError
from weebill.models.gguf import ModelFacts
from weebill.models.needs import Costs
from weebill.models.openvino import costs_of, is_rounded, refusal
from weebill.models.store import ServedModel

LLAMA = Figures(prompt=100, answer=40, first_token_s=0.5)
OPENVINO = Figures(prompt=400, answer=20, first_token_s=0.1)
FASTEST = Figures(prompt=800, answer=80, first_token_s=0.1)
BOTH = frozenset({"llama.cpp", "openvino"})
MODEL = ServedModel(path=Path("m.gguf"), costs=Costs(1, 2), openvino=Costs(3, 2), sha256="a")


def compared(mix=(500, 200), **figures: Figures) -> Comparison:
    given = {"llama.cpp": LLAMA, "openvino": OPENVINO} | figures
    return Comparison(figures=given, mix=mix)


@pytest.mark.parametrize(
    ("comparison", "fastest"),
    [
        (compared(mix=(500, 200)), "llama.cpp"),  # 10 s and 11.25 s
        (compared(mix=(2000, 200)), "openvino"),
        (compared(mix=(2000, 200), openvino=Figures(failure="it was ended by SIGSEGV")), "llama.cpp"),
        (compared(**{"llama.cpp": Figures(failure="x")}), "openvino"),
        (compared(**{"llama.cpp": Figures(failure="x")}, openvino=Figures(failure="x")), "llama.cpp"),
        (Comparison(figures={}), "llama.cpp"),
    ],
)
def test_the_faster_one_for_a_mix(comparison, fastest):
    assert comparison.fastest(BOTH) == fastest


@pytest.mark.parametrize(
    ("model", "wish", "comparison", "installed", "kind", "told"),
    [
        (MODEL, "auto", compared(mix=(2000, 200)), BOTH, "openvino", ""),
        (MODEL, "auto", compared(), BOTH, "llama.cpp", ""),
        (MODEL, "auto", None, BOTH, "llama.cpp", ""),
        (MODEL, "auto", compared(mix=(2000, 200)), {"llama.cpp"}, "llama.cpp", ""),
        (MODEL, "llama.cpp", compared(mix=(2000, 200)), BOTH, "llama.cpp", ""),
        (MODEL, "openvino", None, BOTH, "openvino", ""),
        (ServedModel(path=Path("m"), openvino_refusal="it is odd"), "openvino", None, BOTH, "llama.cpp", "it is odd"),
        (MODEL, "llama-server", None, BOTH, "llama-server", ""),
        (MODEL, "auto", compared(**{"llama-server": FASTEST}), BOTH | {"llama-server"}, "llama-server", ""),
        (MODEL, "auto", compared(**{"llama-server": FASTEST}), BOTH, "llama.cpp", ""),
        (ServedModel(path=Path("m"), kind="static", task="embed"), "openvino", None, BOTH, "static", ""),
    ],
)
def test_the_engine_of_a_model(model, wish, comparison, installed, kind, told):
    found = chosen(model, wish, comparison, frozenset(installed))
    assert found.model.kind == kind
    assert told in found.instead
    assert bool(told) == bool(found.instead)
    assert found.model.costs == (model.openvino if kind == "openvino" else model.costs)


@pytest.mark.parametrize(
    "less", [{"sampling": Sampling(dry=0.8)}, {"sampling": Sampling(penalty_window=9)}, {"openvino_rounds": True}]
)
def test_better_answers_come_before_speed(less):
    model = msgspec.structs.replace(MODEL, **less)
    assert chosen(model, "auto", compared(mix=(2000, 200)), BOTH).model.kind == "llama.cpp"
    assert chosen(model, "openvino", None, BOTH).model.kind == "openvino"
    assert len(objections("openvino", model)) == 1
    assert not objections("llama-server", model)


FACTS = {"architecture": "qwen3", "vocabulary": "gpt2", "splitting": "qwen2", "quantization": "Q8_0"}


@pytest.mark.parametrize(
    ("facts", "more", "why"),
    [
        ({}, {}, ""),
        ({"architecture": "gemma3"}, {}, "architecture 'gemma3'"),
        ({"splitting": "llama-bpe"}, {}, "'llama-bpe'"),
        ({"vocabulary": "llama"}, {}, "vocabulary"),
        ({"quantization": "IQ2_M"}, {}, "'IQ2_M'"),
        ({"quantization": ""}, {}, "no known name"),
        ({"scaling": "yarn"}, {}, "'yarn'"),
        ({}, {"task": "embed"}, "no answers"),
        ({}, {"has_more": True}, "adapter"),
        ({}, {"files": 2}, "several files"),
    ],
)
def test_models_that_are_not_served_are_known_before_they_are_loaded(facts, more, why):
    found = refusal(ModelFacts(**FACTS | facts), **more)
    assert why in found
    assert bool(why) == bool(found)


@pytest.mark.parametrize(
    ("quantization", "rounded"), [("Q8_0", False), ("Q4_0", False), ("Q4_1", True), ("Q4_K_M", True)]
)
def test_formats_whose_weights_are_rounded_anew(quantization, rounded):
    assert is_rounded(ModelFacts(**FACTS | {"quantization": quantization})) == rounded


def test_a_host_keeps_weights_of_its_own():
    facts = ModelFacts(layers=2, embedding=64, heads=2)
    assert costs_of(1 << 30, facts).of(1024, 4) > 2 << 30


def test_figures_are_kept_beside_the_models(tmp_path: Path):
    assert engine_figures.read(tmp_path) == {}
    engine_figures.save(tmp_path, "a", compared())
    engine_figures.save(tmp_path, "b", compared(mix=(1, 2)))
    engine_figures.save(tmp_path, "a", compared(mix=(3, 4)))
    assert engine_figures.read(tmp_path) == {"a": compared(mix=(3, 4)), "b": compared(mix=(1, 2))}
    assert [path.name for path in tmp_path.iterdir()] == ["engines.json"]


def test_figures_of_another_release_are_left_as_they_are(tmp_path: Path):
    """An engine that is not known here, or a comparison in another form, breaks nothing else and is not lost."""
    path = tmp_path / "engines.json"
    engine_figures.save(tmp_path, "a", compared())
    kept = json.loads(path.read_bytes())
    kept[engine_figures.machine()]["a"]["figures"]["new"] = {"prompt": "fast"}
    kept[engine_figures.machine()]["b"] = {"figures": [], "form": 2}
    kept["another machine"] = {"c": 7}
    path.write_text(json.dumps(kept))
    assert engine_figures.read(tmp_path) == {"a": compared()}
    engine_figures.save(tmp_path, "d", compared(mix=(1, 2)))
    assert engine_figures.read(tmp_path) == {"a": compared(), "d": compared(mix=(1, 2))}
    after = json.loads(path.read_bytes())
    del after[engine_figures.machine()]["d"]
    assert after == kept


def test_what_cannot_be_read_is_not_written_over(tmp_path: Path, caplog):
    path = tmp_path / "engines.json"
    for content in (b"{", b'{"m": {"a": "\xff"'):
        path.write_bytes(content)
        assert engine_figures.read(tmp_path) == {}
        with pytest.raises(ModelFormatError, match="Remove it"):
            engine_figures.save(tmp_path, "a", compared())
        assert path.read_bytes() == content
    path.unlink()
    path.mkdir()
    assert engine_figures.read(tmp_path) == {}
    with pytest.raises(IsADirectoryError):
        engine_figures.save(tmp_path, "a", compared())
    assert len(caplog.records) == 3


def test_a_draft_that_cannot_be_put_in_place_is_removed(tmp_path: Path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DiskFullError):
        engine_figures.save(tmp_path, "a", compared())
    assert list(tmp_path.iterdir()) == []


def test_figures_of_another_machine_do_not_count(tmp_path: Path, monkeypatch):
    engine_figures.save(tmp_path, "a", compared())
    monkeypatch.setattr(engine_figures, "usable_cores", lambda: 999)
    assert engine_figures.read(tmp_path) == {}
