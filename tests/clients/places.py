"""Where the programs are: installed at first use under `.cache/clients`, from the pinned lists of this folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
INSTALLED: Final = Path(__file__).parents[2] / ".cache" / "clients"
# The lists of the virtual environments; aider and Schemathesis pin what the others have newer.
LISTS: Final = {
    "python": HERE / "requirements.txt",
    "aider": HERE / "requirements-aider.txt",
    "schemathesis": HERE / "requirements-schemathesis.txt",
}


@cache
def node() -> Path:
    """The folder of Node's programs."""
    place = INSTALLED / "node"
    sources = [HERE / "node" / name for name in ("package.json", "package-lock.json")]
    if not _is_stamped(place, sources):
        place.mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(source, place / source.name)
        _call("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=place)
        # Of all the packages' scripts, only the one that puts Claude Code's binary in its place is needed.
        _call("node", "node_modules/@anthropic-ai/claude-code/install.cjs", cwd=place)
        _stamp(place, sources)
    return place


@cache
def python(name: str) -> Path:
    """The folder of a virtual environment's programs."""
    place = INSTALLED / name
    sources = [LISTS[name]]
    if not _is_stamped(place, sources):
        shutil.rmtree(place, ignore_errors=True)
        _call(sys.executable, "-m", "venv", str(place))
        # The list is whole, so nothing needs to be worked out.
        pip = (str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _call(*pip, "--no-deps", "--requirement", str(LISTS[name]))
        _stamp(place, sources)
    return place / "bin"


def _call(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-4000:]}")


def _digest(sources: list[Path]) -> str:
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _is_stamped(place: Path, sources: list[Path]) -> bool:
    stamp = place / ".installed"
    return stamp.exists() and stamp.read_text() == _digest(sources)


def _stamp(place: Path, sources: list[Path]) -> None:
    (place / ".installed").write_text(_digest(sources))
