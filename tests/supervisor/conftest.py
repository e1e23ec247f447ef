import os

import pytest

from tests.supervisor.fake_installation import Installation


@pytest.fixture
def installation(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("WEEBILL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WEEBILL_PORT", "0")
    installation = Installation(tmp_path / "h")
    yield installation
    installation.close()
