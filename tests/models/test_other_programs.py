"""Models of Ollama and LM Studio are read where they are, and never changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.models.package_index import GGUF
from tests.models.seen import Seen
from weebill.models.curated import Licence, Sampling
from weebill.models.errors import ModelDamagedError, ModelError, ModelFormatError, NotFoundError
from weebill.models.pull import pull
from weebill.models.sources.ollama import stores
from weebill.models.store import ModelStore

EYES = b"GGUF" + b"eyes" * 1000
TEXTS = {
    "template": b"{{ .Prompt }}",
    "params": json.dumps({"temperature": 0.6, "stop": ["<|im_end|>"], "repeat_penalty": 1}).encode(),
    "license": b"\n                                 Apache License\n                           Version 2.0\n",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    return folder


def ollama_has(root: Path, name: str, layers: Mapping[str, bytes]) -> None:
    """Writes a model as Ollama does: `manifests/HOST/NAMESPACE/MODEL/TAG` and `blobs/sha256-HEX`."""
    blobs = root / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)

    def layer(kind: str, content: bytes) -> dict[str, object]:
        sha256 = hashlib.sha256(content).hexdigest()
        (blobs / f"sha256-{sha256}").write_bytes(content)
        return {"mediaType": f"application/vnd.{kind}", "digest": f"sha256:{sha256}", "size": len(content)}

    config = b'{"model_format":"gguf","model_family":"qwen3"}'
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": layer("docker.container.image.v1+json", config),
        "layers": [layer(f"ollama.image.{kind}", content) for kind, content in layers.items()],
    }
    path = root / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest))


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """All files below a folder, with their contents and times of change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_ollamas_model_is_read_in_place(home: Path, models: ModelStore) -> None:
    root = home / ".ollama" / "models"
    ollama_has(root, "registry.ollama.ai/library/qwen3/1.7b", {"model": GGUF, "projector": EYES, **TEXTS})
    before = state(root)
    seen = Seen()
    model = pull(models, "ollama:qwen3:1.7b", seen)
    assert seen.phases == {"verifying"}
    assert model.path.read_bytes() == GGUF
    assert model.path.resolve().parent == (root / "blobs").resolve()
    assert [path.read_bytes() for _, path in model.paths("projector")] == [EYES]
    manifest = model.manifest
    assert manifest.licence == Licence(name="Apache-2.0")
    assert manifest.sampling == Sampling(temperature=0.6)
    assert all(file.place for file in manifest.files)
    assert list((models.folder / "blobs").glob("sha256-*")) == []
    again = Seen()
    assert pull(models, "ollama:qwen3:1.7b", again) == model
    assert again.steps == []
    models.remove("ollama:qwen3:1.7b")
    assert models.list() == []
    assert state(root) == before


def test_ollama_models_names_the_folder(home: Path, models: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    root = home / "elsewhere"
    monkeypatch.setenv("OLLAMA_MODELS", str(root))
    assert list(stores()) == [root]
    ollama_has(root, "hf.co/owner/repo/Q8_0", {"model": GGUF, "license": b"Our own terms\nof use"})
    model = pull(models, "ollama:hf.co/owner/repo:Q8_0")
    assert model.path.read_bytes() == GGUF
    assert model.manifest.licence == Licence(name="Our own terms")
    assert model.manifest.sampling is None


def test_a_model_that_ollama_has_pulled_anew_is_taken_up(home: Path, models: ModelStore) -> None:
    root = home / ".ollama" / "models"
    name = "registry.ollama.ai/library/qwen3/latest"
    ollama_has(root, name, {"model": GGUF})
    old = pull(models, "ollama:qwen3").path.resolve()
    old.unlink()
    with pytest.raises(ModelDamagedError, match=r"changed or is gone.*weebill pull ollama:qwen3:latest"):
        models.find("ollama:qwen3")
    ollama_has(root, name, {"model": EYES})
    assert pull(models, "ollama:qwen3").path.read_bytes() == EYES


def broken_blob(root: Path) -> None:
    (root / "blobs" / f"sha256-{hashlib.sha256(GGUF).hexdigest()}").write_bytes(GGUF[:-1] + b"?")


def missing_blob(root: Path) -> None:
    (root / "blobs" / f"sha256-{hashlib.sha256(GGUF).hexdigest()}").unlink()


def broken_manifest(root: Path) -> None:
    (root / "manifests/registry.ollama.ai/library/qwen3/latest").write_text("{")


def hostile_manifest(root: Path) -> None:
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../../etc/passwd", "size": 1}
    (root / "manifests/registry.ollama.ai/library/qwen3/latest").write_text(json.dumps({"layers": [layer]}))


def of_tensors(root: Path) -> None:
    ollama_has(root, "registry.ollama.ai/library/qwen3/latest", {"tensor": b"a tensor"})


def no_gguf(root: Path) -> None:
    ollama_has(root, "registry.ollama.ai/library/qwen3/latest", {"model": b"{}"})


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (broken_blob, ModelDamagedError, "SHA-256"),
        (missing_blob, ModelDamagedError, "gone.*with Ollama"),
        (broken_manifest, ModelDamagedError, "no manifest.*with Ollama"),
        (hostile_manifest, ModelDamagedError, "passwd.*with Ollama"),
        (of_tensors, ModelFormatError, "not kept as GGUF"),
        (no_gguf, ModelFormatError, "no GGUF file"),
        (lambda root: (root / "manifests").rename(root / "m"), NotFoundError, "ollama list"),
    ],
)
def test_what_ollama_cannot_give_is_said(
    home: Path, models: ModelStore, spoil: object, kind: type[ModelError], said: str
) -> None:
    root = home / ".ollama" / "models"
    ollama_has(root, "registry.ollama.ai/library/qwen3/latest", {"model": GGUF})
    assert callable(spoil)
    spoil(root)
    with pytest.raises(kind, match=said):
        pull(models, "ollama:qwen3")
    assert models.list() == []


@pytest.mark.parametrize("place", [".lmstudio/models", ".cache/lm-studio/models", "moved/models", "chosen"])
def test_lm_studios_model_is_read_in_place(home: Path, models: ModelStore, place: str) -> None:
    if place == "chosen":
        (home / ".lmstudio").mkdir()
        (home / ".lmstudio" / "settings.json").write_text(json.dumps({"downloadsFolder": str(home / place)}))
    if place == "moved/models":
        (home / ".lmstudio-home-pointer").write_text(f"{home}/moved\n")
    folder = home / place / "lmstudio-community" / "Tiny-GGUF"
    folder.mkdir(parents=True)
    files = {"Tiny-Q4_K_M.gguf": GGUF, "Tiny-Q8_0.gguf": EYES, "mmproj-F16.gguf": EYES}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    before = state(home)
    model = pull(models, "lmstudio:lmstudio-community/Tiny-GGUF")
    assert model.path.name == "Tiny-Q4_K_M.gguf"
    assert model.path.resolve() == (folder / "Tiny-Q4_K_M.gguf").resolve()
    assert [file.name for file, _ in model.paths("projector")] == ["mmproj-F16.gguf"]
    other = pull(models, "lmstudio:lmstudio-community/Tiny-GGUF/Tiny-Q8_0.gguf")
    assert other.path.read_bytes() == EYES
    models.remove(model.name)
    assert state(home) == before
    assert other.path.exists()


def test_a_changed_file_of_lm_studio_is_hashed_anew(home: Path, models: ModelStore) -> None:
    folder = home / ".lmstudio" / "models" / "me" / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny.gguf").write_bytes(GGUF)
    first = pull(models, "lmstudio:me/tiny").manifest.files[0].sha256
    (folder / "tiny.gguf").write_bytes(EYES)
    os.utime(folder / "tiny.gguf", ns=(1, 1))
    assert not models.list()[0].verified
    assert pull(models, "lmstudio:me/tiny").manifest.files[0].sha256 != first


def test_what_lm_studio_does_not_have_is_said(home: Path, models: ModelStore) -> None:
    with pytest.raises(NotFoundError, match=r"\.lmstudio/models or .*lms ls"):
        pull(models, "lmstudio:me/none")
