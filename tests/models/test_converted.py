"""Models in safetensors, fetched from a hub, become GGUF files of the store, and keep their origin."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.embeddings import tiny_bert
from tests.models.hub import Hub, Repo
from tests.models.seen import Seen
from weebill.models.errors import ModelChoiceError, ModelFormatError
from weebill.models.gguf import read_facts
from weebill.models.pull import pull
from weebill.models.store import ModelStore

REPO = "maker/tiny-bert"


def repository(folder: Path, *, rerank: bool = False, **changed: object) -> Repo:
    tiny_bert.save(folder, tiny_bert.weights(rerank=rerank), rerank=rerank, **changed)
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in (*tiny_bert.files(folder), folder / "model.safetensors")
    }
    return Repo({**files, "README.md": b"# Tiny", "onnx/model.onnx": b"onnx"})


def test_a_repository_of_safetensors_is_converted_once(hub: Hub, models: ModelStore, tmp_path: Path) -> None:
    hub.repos[REPO] = repository(tmp_path / "source")
    seen = Seen()
    model = pull(models, f"hf:{REPO}", seen)
    assert {"downloading", "converting", "verifying"} <= seen.phases
    assert [(file.role, file.name) for file in model.manifest.files] == [("model", "model-F16.gguf")]
    origin = {file.name: file.sha256 for file in model.manifest.converted_from}
    assert origin == {
        name: hashlib.sha256(hub.repos[REPO].files[name]).hexdigest()
        for name in ("config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors")
    }
    # What it was made of takes no room any more.
    assert [path.name for path in models.blobs.folder.glob("sha256-*") if path.suffix != ".json"] == [
        f"sha256-{model.manifest.files[0].sha256}"
    ]
    assert (model.manifest.task, model.served().task, model.served().dimensions) == ("embed", "embed", 64)
    assert model.served().trained_context == 64
    asked = len(hub.asked)
    assert pull(models, f"hf:{REPO}").path == model.path
    assert len(hub.asked) == asked
    again = ModelStore(tmp_path / "again")
    assert pull(again, f"hf:{REPO}").manifest.files == model.manifest.files


def test_a_damaged_one_is_made_again(hub: Hub, models: ModelStore, tmp_path: Path) -> None:
    hub.repos[REPO] = repository(tmp_path / "source")
    blob = pull(models, f"hf:{REPO}").path.resolve()
    content = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(content[:-1])
    pull(models, f"hf:{REPO}")
    assert blob.read_bytes() == content


def test_a_precision_is_chosen_as_a_quantization_is(hub: Hub, models: ModelStore, tmp_path: Path) -> None:
    hub.repos[REPO] = repository(tmp_path / "source")
    model = pull(models, f"hf:{REPO}:q8_0")
    assert model.manifest.files[0].name == "model-Q8_0.gguf"
    assert read_facts(model.path).quantization == "Q8_0"
    with pytest.raises(ModelChoiceError, match="F32, F16, Q8_0, Q6_K"):
        pull(models, f"hf:{REPO}:IQ2_XS")


def test_a_model_that_rates_says_what_the_engine_does_otherwise(hub: Hub, models: ModelStore, tmp_path: Path) -> None:
    hub.repos[REPO] = repository(tmp_path / "source", rerank=True)
    seen = Seen()
    assert pull(models, f"hf:{REPO}", seen).served().task == "rerank"
    assert any("segments" in text for text in seen.said)
    hub.repos[REPO] = repository(tmp_path / "source", rerank=True, type_vocab_size=1)
    assert pull(models, f"hf:{REPO}:F32", other := Seen()).served().task == "rerank"
    assert not other.said


def test_what_cannot_be_converted_is_refused_before_the_weights_come(
    hub: Hub, models: ModelStore, tmp_path: Path
) -> None:
    hub.repos[REPO] = repository(tmp_path / "source", architectures=["FalconForCausalLM"])
    with pytest.raises(ModelFormatError, match="FalconForCausalLM cannot be converted"):
        pull(models, f"hf:{REPO}")
    hub.repos[REPO] = repository(tmp_path / "other")
    hub.repos[REPO].files["2_Dense/model.safetensors"] = b"a step that would be left out"
    with pytest.raises(ModelFormatError, match="holds no GGUF files"):
        pull(models, f"hf:{REPO}")
    assert not [each for each in hub.asked if "model.safetensors" in each.path]
    assert models.list() == []
