from __future__ import annotations

from pathlib import Path

import pytest

from weebill.config.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home
