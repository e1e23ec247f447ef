"""What tests share that do not harm it: one installation, and one worker in front of emulated providers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.decoders import tiny
from tests.decoders.engine import converted
from tests.e2e.installation import Installation, installation
from tests.emulator.running import Gateway, running_gateway
from weebill.models.creating import create
from weebill.models.recipe import Recipe
from weebill.models.store import ModelStore

TINY: Final = "tiny-llama:1"
"""A model of random weights, of which a test makes others."""
_TINY_CONFIG: Final = """
[server]
workers = {workers}

[local]
models = ["{model}"]

[local.engine]
parallel = {parallel}
threads = 1
context = 4096
"""
_SLOTS: Final = 2  # of each worker


@pytest.fixture(scope="session")
def weebill(tmp_path_factory: pytest.TempPathFactory, compact_model: Path) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("e2e") / "home", compact_model, forked=False) as running:
        yield running


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A worker in front of every provider's emulation."""
    with running_gateway(tmp_path_factory.mktemp("emulated") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of `TINY`."""
    folder = tmp_path_factory.mktemp("source")
    tiny.save(folder, tiny.FAMILIES["llama"], max_position_embeddings=4096)
    return converted(folder, "F32")[0]


@pytest.fixture(scope="module")
def tiny_weebill(
    tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path, request: pytest.FixtureRequest
) -> Iterator[Installation]:
    """An installation that loads `TINY` at its start; with as many workers as the module has `WORKERS`, or one."""
    folder = tmp_path_factory.mktemp("tiny")
    create(ModelStore(folder / "models"), TINY, Recipe(str(tiny_gguf)))
    workers: int = getattr(request.module, "WORKERS", 1)
    config = _TINY_CONFIG.format(model=TINY, workers=workers, parallel=_SLOTS * workers)
    with installation(folder / "home", folder / "models", config) as running:
        yield running
