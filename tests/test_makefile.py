"""`make` says what is really wrong with the Python that it is given."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = {
    "old": 'test "$1" = --version && echo Python 3.9.1',
    "broken": "echo it is broken >&2; exit 3",
    "bare": f'case "$*" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac',
}

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.mark.parametrize(
    ("python", "cause", "hint"),
    [
        ("/nonesuch", "there is no program /nonesuch", "make PYTHON=/path/to/python3.12"),
        ("", "none is on the PATH", "make PYTHON=/path/to/python3.12"),
        ("./old", "Weebill needs Python 3.11, 3.12 or 3.13, and ./old is Python 3.9.1", "make PYTHON="),
        ("./broken", "./broken is no Python, or cannot be run: it is broken", "make PYTHON="),
        ("./bare", "./bare lacks the module venv, or ensurepip", "apt install python3-venv"),
    ],
)
def test_the_real_cause_is_named(tmp_path, python, cause, hint):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name, script in SCRIPTS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    made = subprocess.run(
        ["make", f"PYTHON={python}", ".venv/bin/python"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 2
    errors = [line for line in made.stderr.splitlines() if not line.startswith("make")]
    assert errors[0].startswith("error: ")
    assert cause in errors[0]
    assert errors[1].startswith("hint: ")
    assert hint in errors[1]
    assert not (tmp_path / ".venv").exists()
