"""One installation for the tests that do not harm it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, installation


@pytest.fixture(scope="session")
def weebill(tmp_path_factory: pytest.TempPathFactory, compact_model: Path) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("e2e") / "home", compact_model) as running:
        yield running
