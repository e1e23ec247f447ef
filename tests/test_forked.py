"""Tests in several processes say what they would say in one, and a process that dies takes no other test with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FIXTURES = """
import os, pytest

@pytest.fixture(scope="session")
def lasting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lasting")
    yield folder
    with open("ended", "a") as file:
        file.write(f"{os.getpid()} ")

@pytest.fixture(scope="module")
def shared(lasting):
    yield os.getpid()
    with open("shared", "a") as file:
        file.write(f"{os.getpid()} ")
"""
FILES = {
    "test_a.py": """
import warnings

def test_it_says(lasting):
    print("what it says")
    assert lasting is None

def test_it_warns(lasting, tmp_path):
    warnings.warn("mind this", DeprecationWarning)
""",
    "test_b.py": """
import os, pytest

def test_before(shared): pass

def test_it_dies(shared):
    os.kill(os.getpid(), 9)

def test_after(shared): pass

@pytest.mark.skip(reason="not now")
def test_left_out(): pass
""",
    "test_c.py": """
def test_one(shared, lasting): pass
def test_two(shared): pass
""",
}


def told(folder: Path, *arguments: str) -> tuple[int, str]:
    """What pytest ends with and says of these files."""
    (folder / "conftest.py").write_text(FIXTURES)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    # Temporary files of its own: where all are, others that clean up at the same time make it warn of that.
    own = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_DEBUG_TEMPROOT": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.parallel", "-ra", *arguments],
        cwd=folder,
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_all_is_reported_as_of_one_process(tmp_path: Path) -> None:
    code, said = told(tmp_path, "-q", "--processes", "2")
    assert code == 1
    assert re.search(r"\n2 failed, 5 passed, 1 skipped, 1 warning in ", said)
    assert "what it says" in said
    assert "mind this" in said
    assert "not now" in said
    assert "FAILED test_b.py::test_it_dies - the process that ran it ended with -9 (SIGKILL)" in said
    # That of a module ends with it, that of the session with the process; neither in the one that was killed.
    assert len((tmp_path / "shared").read_text().split()) == 2
    ended = (tmp_path / "ended").read_text().split()
    assert len(ended) == len({*ended}) >= 1


def test_it_ends_with_the_first_failure_where_it_should(tmp_path: Path) -> None:
    code, said = told(tmp_path, "-q", "--processes", "1", "-x")
    assert code == 1
    assert "1 failed in " in said
    assert "stopping after 1 failures" in said
    assert len((tmp_path / "ended").read_text().split()) == 1


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_cannot_be_collected_is_said(tmp_path: Path, processes: str) -> None:
    (tmp_path / "test_wrong.py").write_text("import nonesuch")
    code, said = told(tmp_path, "-q", "--processes", processes)
    assert code == 2
    assert "1 error in " in said
