"""Node's `openai` and `ollama` SDKs: runs `node/*.test.mjs` with Node's own test runner."""

import csv
import io
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.installation import Installation

SOURCE = Path(__file__).parent / "node"
INSTALLED = Path(__file__).parents[2] / ".cache" / "node"


@pytest.fixture(scope="module")
def node_folder() -> Path:
    """A folder with the tests and the SDKs, which are installed at first use."""
    if not shutil.which("npm"):
        pytest.skip("this machine has no Node.js with npm")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for source in SOURCE.iterdir():
        shutil.copy(source, INSTALLED / source.name)
    subprocess.run(
        ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"], cwd=INSTALLED, check=True
    )
    return INSTALLED


def test_the_node_sdks(weebill: Installation, node_folder: Path) -> None:
    env = {**os.environ, "WEEBILL_URL": weebill.url, "WEEBILL_KEY": weebill.key}
    done = subprocess.run(["node", "--test"], cwd=node_folder, env=env, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout
    assert "# pass 14" in done.stdout
    assert _rated_in_node(weebill) == [("0.25", "From Node's SDK.")]


def _rated_in_node(weebill: Installation) -> list[tuple[str, str]]:
    """The ratings that the ledger has, once there are any: the ledger process looks for their requests by itself."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rows = csv.DictReader(io.StringIO(weebill.weebill("usage", "export", "--csv", "-")))
        if rated := [(row["score"], row["comment"]) for row in rows if row["comment"].endswith("Node's SDK.")]:
            return rated
        time.sleep(0.5)
    return []
