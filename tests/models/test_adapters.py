"""Adapters: those that fit a model are taken, and others are refused before an engine would have to load them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.decoders import adapters, tiny
from tests.decoders.engine import Engine
from tests.decoders.tiny import Floats
from weebill.engine.errors import EngineError
from weebill.models.creating import create
from weebill.models.errors import ModelFormatError
from weebill.models.modelfile import parse
from weebill.models.recipe import Recipe, recipe_of
from weebill.models.store import ModelStore

NAME = "tiny-llama:1"


@pytest.fixture
def stored(models: ModelStore, tmp_path: Path) -> ModelStore:
    tiny.save(tmp_path / "source", tiny.FAMILIES["llama"], "F16")
    create(models, NAME, Recipe(str(tmp_path / "source")))
    return models


def test_a_model_with_an_adapter_has_the_files_of_its_base_and_its_own(stored: ModelStore, tmp_path: Path) -> None:
    adapters.save(tmp_path / "one.gguf", 1)
    (tmp_path / "Modelfile").write_text(f"FROM {NAME}\nADAPTER ./one.gguf")
    model = create(stored, "adapted", recipe_of(parse((tmp_path / "Modelfile").read_text()), tmp_path))
    base, served = stored.find(NAME).served(), model.served()
    assert [file.role for file in model.manifest.files] == ["model", "adapter"]
    assert (served.files, served.costs) == (base.files, base.costs)
    assert [each.size for each in served.adapters] == [(tmp_path / "one.gguf").stat().st_size]
    # A further one comes on top.
    second = create(stored, "twice", Recipe("adapted", adapters=(adapters.save(tmp_path / "two.gguf", 2),)))
    assert len(second.served().adapters) == 2


def zeros(*shape: int) -> Floats:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("architecture", "changed", "said"),
    [
        ("qwen2", {}, "for models of the architecture qwen2, and this one is llama"),
        ("llama", {"blk__9__attn_v__weight__lora_a": zeros(4, 64)}, "blk.9.attn_v.weight is not one of two matrices"),
        (
            "llama",
            {"blk__9__attn_v__weight__lora_a": zeros(4, 64), "blk__9__attn_v__weight__lora_b": zeros(32, 4)},
            "there is no matrix blk.9.attn_v.weight here",
        ),
        ("llama", {"blk__0__attn_v__weight__lora_a": zeros(4, 65)}, "not for a matrix of 64 x 32"),
        ("llama", {"blk__0__attn_v__weight__lora_b": zeros(33, 4)}, "not for a matrix of 64 x 32"),
        ("llama", {"blk__0__attn_v__weight__lora_b": zeros(32, 5)}, "not for a matrix of 64 x 32"),
    ],
)
def test_an_adapter_of_another_model_is_refused_as_the_engine_would(
    stored: ModelStore, tmp_path: Path, architecture: str, changed: dict[str, Floats], said: str
) -> None:
    path = adapters.save(tmp_path / "other.gguf", 1, architecture, **changed)
    with pytest.raises(ModelFormatError, match=f"adapter other.gguf cannot be used: .*{said}"):
        create(stored, "adapted", Recipe(NAME, adapters=(path,)))
    assert [each.name for each in stored.list()] == [NAME]
    with pytest.raises(EngineError):
        Engine(stored.find(NAME).path, adapters=(path,))


def test_a_file_that_is_no_adapter_is_refused(stored: ModelStore, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="it is no LoRA adapter in GGUF"):
        create(stored, "adapted", Recipe(NAME, adapters=(stored.find(NAME).path,)))
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelFormatError, match="cannot be read as GGUF"):
        create(stored, "adapted", Recipe(NAME, adapters=(tmp_path / "a.gguf",)))
