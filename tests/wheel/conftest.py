"""The wheel with its hot path compiled, or a part of that: built once for the same sources.

Pythons import it instead of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / ".cache" / "wheel"  # git-ignored, and kept between runs
NEW = WHEELS / "new"
KEPT_OBJECT = Path(__file__).with_name("kept_object.py")
OBJECTS = ROOT / ".cache" / "objects"
SITE = "site"
BUILT_FROM = ("pyproject.toml", "constraints.txt", "hatch_build.py", "README.md", "Makefile")
BUILD_S = 600
# How the modules begin that are compiled. Some four of five are in the other rooms, and compiling a module that
# translates fails as it does in `make wheel`, which compiles them all.
PARTS: Final = {
    # Storing a record is left to "all": mypyc reads all of SQLAlchemy for it, as long as all the rest.
    "socket to record": ("transport/", "wire/", "gateway/meter", "usage/", "telemetry/"),
    "all": (),
}
NO_COMPILER = "error: compiling takes a C compiler and Python's headers"


@dataclass(frozen=True)
class Wheel:
    """`part` is that of the hot path, `name` that of the file, `folder` where it is unpacked."""

    part: str
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


def _built(kept: Path, part: str) -> str:
    """Build the wheel with this part compiled and unpack it into `kept`, which is there whole or not at all.

    Returns what went wrong.
    """
    shutil.rmtree(NEW, ignore_errors=True)
    # `make test` tells a `make` below it what it was told itself.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    # The same C as at level 3, compiled in a third of the time; what building takes is installed: no registry.
    env["MYPYC_OPT_LEVEL"] = "0"
    env["COMPILE_ONLY"] = " ".join(PARTS[part])
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]):  # otherwise `make wheel` says that there is none
        env["CC"] = shlex.join([sys.executable, str(KEPT_OBJECT), str(OBJECTS / _named(part)), *compiler])
    command = ["make", "wheel", f"VENV={sys.prefix}", f"DIST={NEW}", "ARGS=--no-build-isolation"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=BUILD_S)
    if done.returncode != 0:
        return done.stdout + done.stderr
    (file,) = NEW.iterdir()
    with zipfile.ZipFile(file) as packed:
        packed.extractall(NEW / SITE)
    NEW.rename(kept)
    return ""


def _named(part: str) -> str:
    return part.replace(" ", "-")


def _of_this() -> str:
    """A name for all that a wheel depends on."""
    digest = hashlib.sha256(f"{sys.version} {sysconfig.get_platform()}".encode())
    for file in sorted([*(ROOT / "weebill").rglob("*.*"), *(ROOT / name for name in BUILT_FROM)]):
        if file.is_file() and file.suffix != ".pyc":
            digest.update(f"{file.relative_to(ROOT)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="session")
def wheel(request: pytest.FixtureRequest) -> Wheel:
    """That of a part, built by whichever process of the tests comes first, unless an earlier run has built it."""
    part: str = request.param
    kept = WHEELS / f"{_named(part)}-{_of_this()}"
    WHEELS.mkdir(parents=True, exist_ok=True)
    with (WHEELS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for old in WHEELS.glob(f"{_named(part)}-*"):
            if old != kept:
                shutil.rmtree(old)
        wrong = "" if kept.is_dir() else _built(kept, part)
    if NO_COMPILER in wrong:
        pytest.skip(wrong.strip())
    assert wrong == ""
    (file,) = kept.glob("*.whl")
    return Wheel(part, file.name, kept / SITE)
