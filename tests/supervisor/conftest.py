import os

import pytest

from tests.supervisor.fake_installation import Installation


@pytest.fixture
def installation(tmp_path, monkeypatch, request):
    """One that is forked, or if the test is told so (`COMMANDS`) started by the commands of a real one."""
    for name in [name for name in os.environ if name.startswith("WEEBILL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WEEBILL_PORT", "0")
    installation = Installation(tmp_path / "h", forked=getattr(request, "param", "forked") == "forked")
    yield installation
    installation.close()
