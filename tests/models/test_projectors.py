"""Projectors: given and pulled with their models, and counted in their memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.vision import write_model, write_projector
from tests.models.hub import Hub, Repo
from tests.models.tiny import REPO, fetch
from weebill.models.gguf import ModelFacts, read_facts
from weebill.models.projectors import reads_whole, working_bytes
from weebill.models.pull import add_file
from weebill.models.store import ModelStore


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_model(tmp_path / "tiny-Q8_0.gguf"), write_projector(tmp_path / "mmproj-tiny-F16.gguf", "gemma3")


def test_a_projector_is_given_with_its_model(models: ModelStore, files: tuple[Path, Path]) -> None:
    model, projector = files
    blind = add_file(models, "tiny:blind", model)
    assert (blind.purpose, blind.projector, blind.served().projector) == (None, None, None)
    seeing = add_file(models, "tiny:eyes", model, projector=projector)
    assert seeing.purpose == "vision"
    assert seeing.projector is not None
    assert seeing.projector.read_bytes() == projector.read_bytes()
    assert seeing.served().projector == seeing.projector
    # 16 patches of an edge; and a step of 320 tokens, with Gemma's vocabulary.
    looks = 16 * 16 * 32 * 16 * 4 + 320 * 262_144 * 4
    costs, of_blind = seeing.served().costs, blind.served().costs
    assert costs.fixed - of_blind.fixed == projector.stat().st_size + looks
    assert costs.token == of_blind.token


def test_a_projector_comes_with_its_model(models: ModelStore, hub: Hub, files: tuple[Path, Path]) -> None:
    hub.repos[REPO] = Repo({path.name: path.read_bytes() for path in files})
    served = fetch(models, f"hf:{REPO}:Q8_0").served()
    assert served.task == "chat"
    assert served.projector is not None
    assert served.projector.name == "mmproj-tiny-F16.gguf"


def test_a_projectors_file_says_how_images_are_read(files: tuple[Path, Path]) -> None:
    facts = read_facts(files[1])
    assert (facts.projector, facts.image_size, facts.patch_size, facts.image_width) == ("gemma3", 224, 14, 32)
    assert reads_whole(facts)
    assert not reads_whole(ModelFacts(projector="mlp"))


def test_images_of_any_size_are_counted_at_their_largest() -> None:
    """SigLIP of Gemma 3: 896 pixels in patches of 14; and one that makes up to 1024 tokens of four patches."""
    gemma = ModelFacts(projector="gemma3", image_size=896, patch_size=14, image_width=1152)
    # Measured for it: 0.2 GB, without the step.
    assert working_bytes(gemma) == 4096 * 1152 * 16 * 4 + 320 * 262_144 * 4
    small = ModelFacts(projector="qwen2.5vl_merger", image_size=560, patch_size=14, image_width=1280)
    assert working_bytes(small) == 4096 * 1280 * 16 * 4
    assert working_bytes(ModelFacts(projector="mlp")) == 0
