"""What tests share that do not harm it: one installation, and one worker in front of emulated providers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, installation
from tests.emulator.running import Gateway, running_gateway


@pytest.fixture(scope="session")
def weebill(tmp_path_factory: pytest.TempPathFactory, compact_model: Path) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("e2e") / "home", compact_model, forked=False) as running:
        yield running


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A worker in front of every provider's emulation."""
    with running_gateway(tmp_path_factory.mktemp("emulated") / "home") as running:
        yield running
