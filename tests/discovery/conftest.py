"""A home for discovery processes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from weebill.config.paths import Home


@pytest.fixture
def home() -> Iterator[Home]:
    # Not below tmp_path: the path of a Unix socket has room for some 100 bytes.
    home = Home(Path(tempfile.mkdtemp(prefix="weebill-test-")))
    home.create()
    yield home
    shutil.rmtree(home.root)
