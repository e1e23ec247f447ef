"""One worker in front of one emulator for all the crossings."""

from collections.abc import Iterator

import pytest

from tests.emulator.running import Gateway, running_gateway


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("translation") / "home") as running:
        yield running
