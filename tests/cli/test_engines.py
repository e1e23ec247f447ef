"""`weebill engines`: what is measured, printed and kept."""

import json
import os
from pathlib import Path

import pytest

from tests.fixtures.model import MODEL
from weebill.cli import engines
from weebill.cli.errors import CommandError
from weebill.cli.models import engines_for
from weebill.config.load import Sources
from weebill.config.schema import EngineSettings
from weebill.models import engine_figures
from weebill.models.engine_choice import Figures
from weebill.models.pull import pull
from weebill.models.store import ModelStore, ServedModel

LLAMA = Figures(prompt=100, answer=40, first_token_s=0.5)
OPENVINO = Figures(prompt=400, answer=20, first_token_s=0.1)


@pytest.fixture
def sources(weebill, compact_model: Path, monkeypatch) -> Sources:
    """An installation with one model and two engines whose figures are known."""
    folder = weebill.home.models
    folder.mkdir(exist_ok=True)
    pull(ModelStore(folder), f"file:{ModelStore(compact_model).find(MODEL).path}")
    figures = {"llama.cpp": LLAMA, "openvino": OPENVINO}
    monkeypatch.setattr(engine_figures, "installed", lambda llama_server: frozenset(figures))
    monkeypatch.setattr(engines, "_measured", lambda kind, *_: figures[kind])
    return Sources(weebill.home, weebill.env | {"WEEBILL_LOCAL_MODELS": ModelStore(folder).list()[0].name}, {})


def test_the_engines_are_compared_and_the_faster_one_is_kept(sources, capsys):
    engines.engines(sources, None, 2000, 100, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["fastest"], told["serves"]) == ("openvino", "llama.cpp")  # it rounds
    assert [each["request_s"] for each in told["engines"]] == [22.5, 10.0]
    store = ModelStore(sources.home.models)
    (kept,) = engine_figures.read(store.folder).values()
    assert (kept.mix, kept.figures["openvino"]) == ((2000, 100), OPENVINO)
    engines.engines(sources, store.list()[0].name, 100, 400, as_json=False)
    printed = capsys.readouterr().out
    assert "llama.cpp answers such a request first; llama.cpp serves" in printed
    assert "400 tokens/s" in printed


def test_an_engine_that_fails_is_told_with_its_reason(tmp_path: Path, monkeypatch):
    broken = ServedModel(path=tmp_path / "none.gguf")
    found = engines._measured("llama.cpp", broken, EngineSettings())
    assert "does not run here" in found.failure
    program = tmp_path / "dies"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    os.chmod(program, 0o700)
    monkeypatch.setattr("sys.executable", str(program))
    assert "SIGSEGV" in engines._measured("llama.cpp", broken, EngineSettings()).failure
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(engines, "_TIMEOUT_S", 0.1)
    assert "took more than" in engines._measured("llama.cpp", broken, EngineSettings()).failure


def test_what_cannot_be_compared_is_refused(sources):
    with pytest.raises(CommandError, match="tokens"):
        engines.engines(sources, None, 0, 5, as_json=True)


def test_engines_that_all_fail_are_not_told_as_the_first(sources, monkeypatch, capsys):
    monkeypatch.setattr(engines, "_measured", lambda kind, *_: Figures(failure=f"{kind} is broken"))
    engines.engines(sources, None, 500, 200, as_json=False)
    printed = capsys.readouterr().out
    assert "No engine answers here" in printed
    assert "llama.cpp: llama.cpp is broken; openvino: openvino is broken" in printed
    assert "first;" not in printed
    engines.engines(sources, None, 500, 200, as_json=True)
    assert json.loads(capsys.readouterr().out)["fastest"] is None


@pytest.mark.parametrize("runs", [True, False])
def test_a_running_server_keeps_the_engine_of_a_model_that_stays(weebill, sources, monkeypatch, capsys, runs):
    monkeypatch.setattr(engines, "offer_again", lambda home: runs)
    engines.engines(sources, None, 500, 200, as_json=False)
    assert ("stays loaded" in capsys.readouterr().out) == runs
    (model,) = ModelStore(sources.home.models).list()
    engines.engines(Sources(sources.home, weebill.env, {}), model.name, 500, 200, as_json=False)
    assert "stays loaded" not in capsys.readouterr().out


@pytest.mark.parametrize(("other", "told"), [("openvino", False), ("llama-server", True)])
def test_openvino_is_named_to_those_who_lack_it(sources, monkeypatch, capsys, other, told):
    monkeypatch.setattr(engine_figures, "installed", lambda llama_server: frozenset({"llama.cpp", other}))
    monkeypatch.setattr(engines, "_measured", lambda *_: LLAMA)
    engines.engines(sources, None, 500, 200, as_json=False)
    assert ("weebill[openvino]" in capsys.readouterr().out) == told


def test_who_pulls_a_model_is_told_of_its_choice(sources, monkeypatch):
    (model,) = ModelStore(sources.home.models).list()
    assert engines_for(model, "none") == ["llama.cpp", "openvino"]
    three = {"llama.cpp", "llama-server", "openvino"}
    monkeypatch.setattr(engine_figures, "installed", lambda llama_server: frozenset(three))
    assert engines_for(model, "none") == sorted(three)
    model.path.unlink()
    assert engines_for(model, "none") == []
