"""The wheel with its hot path compiled, built once and unpacked, and Pythons that import it instead of the sources."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD_S = 600
NO_COMPILER = "error: compiling takes a C compiler and Python's headers"


@dataclass(frozen=True)
class Wheel:
    """`name` is that of the file, `folder` where it is unpacked."""

    name: str
    folder: Path

    def python(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run Python where `weebill` is the wheel's, in this process's children as in theirs."""
        env = os.environ | {
            # Neither where it runs nor the folder of a script comes first: the sources are there.
            "PYTHONSAFEPATH": "1",
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
        }
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout_s
        )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    dist, folder = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    # `make test` tells a `make` below it what it was told itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    # The same C as at level 3, compiled in a third of the time; what building takes is installed: no registry.
    env["MYPYC_OPT_LEVEL"] = "0"
    command = ["make", "wheel", f"VENV={sys.prefix}", f"DIST={dist}", "ARGS=--no-build-isolation"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=BUILD_S)
    if NO_COMPILER in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = dist.iterdir()
    with zipfile.ZipFile(file) as packed:
        packed.extractall(folder)
    return Wheel(file.name, folder)
